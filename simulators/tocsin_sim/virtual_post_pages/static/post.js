// The page of one virtual post: a finger goes in, what the pins do comes out.
"use strict";

const body = document.body;
const words = body.dataset;
const post = words.post;
const button = document.getElementById("button");
const sound = document.getElementById("sound");
const wifi = document.getElementById("wifi");
const power = document.getElementById("power");
const HOPS = ["sending", "sent", "answered"];

function act(name) {
  return fetch(`/posts/${post}/${name}`, { method: "POST", headers: { "X-Tocsin": "virtual-post" } });
}

// -- the finger: what closes must open, wherever the finger goes
let held = false;

function hold() {
  if (!held) {
    held = true;
    body.classList.add("held");
    act("hold");
  }
}

function release() {
  if (held) {
    held = false;
    body.classList.remove("held");
    act("release");
  }
}

button.addEventListener("pointerdown", (event) => {
  if (event.button === 0) {
    button.setPointerCapture(event.pointerId);
    hold();
  }
});
for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
  button.addEventListener(name, release);
}
button.addEventListener("contextmenu", (event) => event.preventDefault());
button.addEventListener("keydown", (event) => {
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    hold();
  }
});
button.addEventListener("keyup", release);
window.addEventListener("pagehide", release);

// -- the buzzer
let audio = null;
let tone = null;
let hertz = 0;

function sing() {
  const wanted = audio ? hertz : 0;
  if (tone && tone.frequency.value !== wanted) {
    tone.stop();
    tone = null;
  }
  if (wanted && !tone) {
    const volume = audio.createGain();
    volume.gain.value = 0.05;
    tone = audio.createOscillator();
    tone.type = "square";
    tone.frequency.value = wanted;
    tone.connect(volume).connect(audio.destination);
    tone.start();
  }
}

sound.addEventListener("click", () => {
  if (audio) {
    audio.close();
    audio = tone = null;
  } else {
    audio = new AudioContext();
  }
  sound.setAttribute("aria-pressed", String(audio !== null));
  sound.textContent = audio ? words.soundOff : words.soundOn;
  sing();
});

// -- what is tried on it
wifi.addEventListener("click", () => act(wifi.getAttribute("aria-pressed") === "true" ? "wifi-on" : "wifi-off"));
power.addEventListener("click", () => act(power.getAttribute("aria-pressed") === "true" ? "power-on" : "power-off"));
document.getElementById("chooser").addEventListener("change", (event) => {
  location.search = new URLSearchParams({ post: event.target.value, lang: words.language }).toString();
});

// -- the instants
function duration(ms) {
  const text = ms < 10000 ? Math.round(ms).toLocaleString(words.language) : (ms / 1000).toLocaleString(words.language, { maximumFractionDigits: 1 });
  return ms < 10000 ? `${text} ${words.ms}` : `${text} s`;
}

function made(tag, text, name) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) {
    element.className = name;
  }
  return element;
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString(words.language, { hour12: false });
}

function showJourney(press) {
  const steps = [made("li", "", "done")];
  steps[0].append(made("b", words.contact), made("span", clock(press.contact_ms)));
  for (const hop of HOPS) {
    const value = press[hop];
    const step = made("li", "", value === null ? "next" : `done ${hop}`);
    step.append(made("b", words[hop]), made("span", value === null ? words.waiting : `+ ${duration(value)}`));
    steps.push(step);
  }
  if (press.late !== null) {
    const step = made("li", "", "done late");
    step.append(made("b", words.late), made("span", `+ ${duration(press.late)}`));
    steps.splice(2, 0, step);
  }
  document.getElementById("journey").replaceChildren(...steps);
}

function showRow(press) {
  const row = document.createElement("tr");
  row.append(made("td", clock(press.contact_ms)));
  for (const hop of HOPS) {
    row.append(made("td", press[hop] === null ? "–" : duration(press[hop])));
  }
  return row;
}

let shownPresses = "";

function showPresses(presses) {
  const now = JSON.stringify(presses);
  if (now === shownPresses) {
    return;
  }
  shownPresses = now;
  document.getElementById("none").hidden = presses.length > 0;
  document.getElementById("journey").hidden = presses.length === 0;
  document.getElementById("earlier").hidden = presses.length < 2;
  if (presses.length) {
    showJourney(presses[0]);
  }
  document.getElementById("rows").replaceChildren(...presses.slice(1).map(showRow));
}

function say(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function show(now) {
  words.colour = now.colour;
  words.state = now.state;
  body.classList.toggle("sounding", now.tone_hz > 0);
  body.classList.toggle("closed", now.closed);
  hertz = now.tone_hz;
  sing();
  say("says", now.text);
  say("hint", now.hint);
  wifi.setAttribute("aria-pressed", String(!now.wifi));
  say("wifi", now.wifi ? words.wifiCut : words.wifiBack);
  power.setAttribute("aria-pressed", String(!now.powered));
  say("power", now.powered ? words.powerCut : words.powerBack);
  showPresses(now.presses);
}

function showAll(posts) {
  for (const one of posts) {
    const link = document.querySelector(`a[data-of="${CSS.escape(one.post)}"]`);
    if (link) {
      link.dataset.state = one.state;
      link.querySelector(".says").textContent = one.text;
    }
  }
}

const events = new EventSource(`/events?${new URLSearchParams({ post, lang: words.language })}`);
events.addEventListener("post", (event) => show(JSON.parse(event.data)));
events.addEventListener("posts", (event) => showAll(JSON.parse(event.data)));
events.addEventListener("open", () => {
  document.getElementById("lost").hidden = true;
});
events.addEventListener("error", () => {
  document.getElementById("lost").hidden = false;
});
