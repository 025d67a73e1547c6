"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("signal", "timeline_entry")


def upgrade() -> None:
    op.create_table(
        "downlink",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("gateway", sa.String(length=32), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.Column("dispatch_id", sa.String(length=36), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_downlink")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_downlink_dispatch_id"), "downlink", ["dispatch_id"], unique=False)
    op.create_index("ix_downlink_gateway", "downlink", ["org", "gateway", "id"], unique=False)
    op.create_table(
        "engine",
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("beat_ms", sa.BigInteger(), nullable=False),
        sa.Column("stopped_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_engine")),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("parent", sa.String(length=32), nullable=True),
        sa.Column("technical_policy", sa.String(), nullable=True),
        sa.Column("sms_route", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["organisation.id"], name=op.f("fk_organisation_parent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
    )
    op.create_table(
        "timer_lateness",
        sa.Column("timer", sa.String(length=32), nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("served", sa.Integer(), nullable=False),
        sa.Column("over", sa.Integer(), nullable=False),
        sa.Column("total_ms", sa.BigInteger(), nullable=False),
        sa.Column("max_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("timer", "hour_ms", "owner", name=op.f("pk_timer_lateness")),
    )
    op.create_table(
        "calendar",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_calendar_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_calendar")),
    )
    op.create_table(
        "desk",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("roster", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_desk_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_desk")),
    )
    op.create_table(
        "gateway",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("broker_user", sa.String(), nullable=False),
        sa.Column("broker_nonce", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_gateway_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_gateway")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_gateway_token_hash")),
    )
    op.create_table(
        "monitoring_centre",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("paths", sa.Text(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("supervision_ms", sa.Integer(), nullable=False),
        sa.Column("supervised_ms", sa.BigInteger(), nullable=True),
        sa.Column("watcher", sa.String(length=128), nullable=False),
        sa.Column("watched_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_monitoring_centre_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_monitoring_centre")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("login", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "role IN ('administrator', 'supervisor', 'school_head', 'technician', 'observer', 'association')",
            name=op.f("ck_person_role_known"),
        ),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_person_org")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("login", name=op.f("uq_person_login")),
    )
    op.create_index(op.f("ix_person_org"), "person", ["org"], unique=False)
    op.create_table(
        "policy",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_policy_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_policy")),
    )
    op.create_table(
        "roster",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_roster_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_roster")),
    )
    op.create_table(
        "contact_method",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("offset_ms", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("code_ms", sa.BigInteger(), nullable=True),
        sa.Column("code_wrong", sa.Integer(), nullable=False),
        sa.Column("verified_ms", sa.BigInteger(), nullable=True),
        sa.Column("proven_ms", sa.BigInteger(), nullable=True),
        sa.Column("disabled_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "channel IN ('webhook', 'email', 'sms', 'push')", name=op.f("ck_contact_method_channel_known")
        ),
        sa.CheckConstraint("offset_ms >= 0 AND offset_ms <= 3600000", name=op.f("ck_contact_method_offset_bounded")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_contact_method_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_method")),
    )
    op.create_index(op.f("ix_contact_method_person_id"), "contact_method", ["person_id"], unique=False)
    op.create_table(
        "invitation",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=32), nullable=False),
        sa.Column("desk", sa.String(length=32), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host", "desk"], ["desk.org", "desk.id"], name=op.f("fk_invitation_host_desk")),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_invitation_org")),
        sa.PrimaryKeyConstraint("org", "host", "desk", name=op.f("pk_invitation")),
    )
    op.create_table(
        "policy_version",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("policy", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org", "policy"], ["policy.org", "policy.id"], name=op.f("fk_policy_version_org_policy")
        ),
        sa.PrimaryKeyConstraint("org", "policy", "version", name=op.f("pk_policy_version")),
    )
    op.create_table(
        "roster_override",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("roster", sa.String(length=32), nullable=False),
        sa.Column("starts_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("replaces", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("cancelled_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("starts_ms < ends_ms", name=op.f("ck_roster_override_starts_before_it_ends")),
        sa.ForeignKeyConstraint(
            ["org", "roster"], ["roster.org", "roster.id"], name=op.f("fk_roster_override_org_roster")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roster_override")),
    )
    op.create_index("ix_roster_override_roster", "roster_override", ["org", "roster", "ends_ms"], unique=False)
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("csrf", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_session_person_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_person_id"), "session", ["person_id"], unique=False)
    op.create_table(
        "site",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("insee", sa.String(), nullable=False),
        sa.Column("uai", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("policy", sa.String(), nullable=True),
        sa.Column("reporting_ms", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org", "policy"], ["policy.org", "policy.id"], name=op.f("fk_site_org_policy")),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_site_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_site")),
    )
    op.create_table(
        "alarm_group",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org", "site"], ["site.org", "site.id"], name=op.f("fk_alarm_group_org_site")),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_alarm_group_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_alarm_group")),
    )
    op.create_table(
        "device",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("policy", sa.String(), nullable=True),
        sa.Column("broker_user", sa.String(), nullable=False),
        sa.Column("broker_nonce", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.Column("presence", sa.String(), nullable=False),
        sa.Column("session_b", sa.Integer(), nullable=False),
        sa.Column("session_link", sa.Integer(), nullable=False),
        sa.Column("beat_i", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=True),
        sa.Column("expected_by_ms", sa.BigInteger(), nullable=True),
        sa.Column("probe_every_ms", sa.Integer(), nullable=False),
        sa.Column("probe_by_ms", sa.BigInteger(), nullable=True),
        sa.Column("probe_ms", sa.BigInteger(), nullable=True),
        sa.Column("drill_ms", sa.BigInteger(), nullable=True),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("command_c", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("gateway", sa.String(), nullable=True),
        sa.Column("boot", sa.Integer(), nullable=False),
        sa.Column("last_n", sa.Integer(), nullable=False),
        sa.Column("beat", sa.Text(), nullable=False),
        sa.Column("beat_ms", sa.BigInteger(), nullable=True),
        sa.Column("info", sa.Text(), nullable=False),
        sa.CheckConstraint("presence IN ('never', 'alive', 'late', 'lost')", name=op.f("ck_device_presence_known")),
        sa.ForeignKeyConstraint(["org", "policy"], ["policy.org", "policy.id"], name=op.f("fk_device_org_policy")),
        sa.ForeignKeyConstraint(["org", "site"], ["site.org", "site.id"], name=op.f("fk_device_org_site")),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_device_org")),
        sa.PrimaryKeyConstraint("org", "id", name=op.f("pk_device")),
    )
    op.create_index("ix_device_expected", "device", ["expected_by_ms"], unique=False)
    op.create_index("ix_device_probe", "device", ["probe_by_ms"], unique=False)
    op.create_table(
        "site_window",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("starts_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("report", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('drill', 'maintenance')", name=op.f("ck_site_window_kind_known")),
        sa.CheckConstraint("starts_ms < ends_ms", name=op.f("ck_site_window_starts_before_it_ends")),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name=op.f("fk_site_window_created_by")),
        sa.ForeignKeyConstraint(["org", "site"], ["site.org", "site.id"], name=op.f("fk_site_window_org_site")),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_site_window_org")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_window")),
    )
    op.create_index("ix_site_window_next", "site_window", ["next_ms"], unique=False)
    op.create_index("ix_site_window_org", "site_window", ["org", "ends_ms"], unique=False)
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("device_org", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=32), nullable=True),
        sa.Column("device", sa.String(length=32), nullable=True),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("scenario", sa.String(), nullable=False),
        sa.Column("dedup", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("pass_", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("span_ms", sa.BigInteger(), nullable=False),
        sa.Column("unanswered", sa.Boolean(), nullable=False),
        sa.Column("presses", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("recent", sa.String(), nullable=False),
        sa.Column("progress", sa.String(), nullable=False),
        sa.Column("close_asked_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("close_asked_reason", sa.String(), nullable=True),
        sa.Column("window_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("about_id", sa.String(), nullable=True),
        sa.Column("raised_ms", sa.BigInteger(), nullable=False),
        sa.Column("reopened_ms", sa.BigInteger(), nullable=True),
        sa.Column("answered_ms", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("previous_id", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("lamp", sa.String(), nullable=True),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("frozen", sa.Text(), nullable=False),
        sa.Column("timeline_seq", sa.Integer(), nullable=False),
        sa.Column("timeline_hash", sa.String(), nullable=False),
        sa.CheckConstraint("(status = 'closed') = (closed_ms IS NOT NULL)", name=op.f("ck_alert_closed_has_instant")),
        sa.CheckConstraint("(status = 'closed') = (due_ms IS NULL)", name=op.f("ck_alert_open_is_due")),
        sa.CheckConstraint(
            "category IN ('call', 'personal', 'threat', 'technical')", name=op.f("ck_alert_category_known")
        ),
        sa.CheckConstraint("condition IN ('active', 'cleared')", name=op.f("ck_alert_condition_known")),
        sa.CheckConstraint("mode IN ('real', 'drill', 'probe')", name=op.f("ck_alert_mode_known")),
        sa.CheckConstraint(
            "progress IN ('', 'en-route', 'on-site', 'needs-help')", name=op.f("ck_alert_progress_known")
        ),
        sa.CheckConstraint("status IN ('raised', 'answered', 'closed')", name=op.f("ck_alert_status_known")),
        sa.ForeignKeyConstraint(["answered_by"], ["person.id"], name=op.f("fk_alert_answered_by")),
        sa.ForeignKeyConstraint(["close_asked_by"], ["person.id"], name=op.f("fk_alert_close_asked_by")),
        sa.ForeignKeyConstraint(["closed_by"], ["person.id"], name=op.f("fk_alert_closed_by")),
        sa.ForeignKeyConstraint(
            ["device_org", "device"], ["device.org", "device.id"], name=op.f("fk_alert_device_org_device")
        ),
        sa.ForeignKeyConstraint(["org"], ["organisation.id"], name=op.f("fk_alert_org")),
        sa.ForeignKeyConstraint(["window_id"], ["site_window.id"], name=op.f("fk_alert_window_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index("ix_alert_dedup_raised", "alert", ["dedup", "raised_ms"], unique=False)
    op.create_index("ix_alert_due", "alert", ["due_ms"], unique=False)
    op.create_index("ix_alert_org_raised", "alert", ["org", "raised_ms"], unique=False)
    op.create_index(
        "uq_alert_open_dedup",
        "alert",
        ["dedup"],
        unique=True,
        sqlite_where=sa.text("status <> 'closed'"),
        postgresql_where=sa.text("status <> 'closed'"),
    )
    op.create_table(
        "device_key",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("kid", sa.String(length=8), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["org", "device"], ["device.org", "device.id"], name=op.f("fk_device_key_org_device")),
        sa.PrimaryKeyConstraint("org", "device", "kid", name=op.f("pk_device_key")),
    )
    op.create_table(
        "signal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("b", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("contact_ms", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("held_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["org", "device"], ["device.org", "device.id"], name=op.f("fk_signal_org_device")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal")),
        sa.UniqueConstraint("org", "device", "b", "n", name=op.f("uq_signal_org_device_b_n")),
    )
    op.create_index(op.f("ix_signal_alert_id"), "signal", ["alert_id"], unique=False)
    op.create_table(
        "answer",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.String(), nullable=False),
        sa.Column("progress_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_answer_alert_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_answer_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
        sa.UniqueConstraint("alert_id", "epoch", "person_id", name=op.f("uq_answer_alert_id_epoch_person_id")),
    )
    op.create_table(
        "cap_message",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dispatch_id", sa.String(length=36), nullable=False),
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("identifier", sa.String(), nullable=False),
        sa.Column("sent", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_cap_message_alert_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cap_message")),
        sa.UniqueConstraint("dispatch_id", name=op.f("uq_cap_message_dispatch_id")),
    )
    op.create_index(op.f("ix_cap_message_alert_id"), "cap_message", ["alert_id"], unique=False)
    op.create_index("ix_cap_message_org", "cap_message", ["org", "id"], unique=False)
    op.create_table(
        "dispatch",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("pass_", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("method_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("class_", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("maybe_dup", sa.Boolean(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("handed_ms", sa.BigInteger(), nullable=True),
        sa.Column("delivered_ms", sa.BigInteger(), nullable=True),
        sa.Column("seen_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(status IN ('pending', 'leased')) = (next_ms IS NOT NULL)", name=op.f("ck_dispatch_terminal_or_due")
        ),
        sa.CheckConstraint(
            "kind IN ('notify', 'taken', 'closed', 'info', 'actuate', 'lamp')", name=op.f("ck_dispatch_kind_known")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'leased', 'handed', 'delivered', 'seen', 'failed', 'cancelled')",
            name=op.f("ck_dispatch_status_known"),
        ),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_dispatch_alert_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_dispatch_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatch")),
        sa.UniqueConstraint(
            "alert_id",
            "epoch",
            "pass_",
            "step",
            "kind",
            "target",
            "method_id",
            name=op.f("uq_dispatch_alert_id_epoch_pass__step_kind_target_method_id"),
        ),
    )
    op.create_index(op.f("ix_dispatch_alert_id"), "dispatch", ["alert_id"], unique=False)
    op.create_index("ix_dispatch_next", "dispatch", ["next_ms"], unique=False)
    op.create_index(
        "ix_dispatch_technical",
        "dispatch",
        ["method_id"],
        unique=False,
        sqlite_where=sa.text("class_ >= 3"),
        postgresql_where=sa.text("class_ >= 3"),
    )
    op.create_table(
        "ledger",
        sa.Column("org", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("b", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("contact_ms", sa.BigInteger(), nullable=False),
        sa.Column("published_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("held_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("handed_ms", sa.BigInteger(), nullable=True),
        sa.Column("lamp_sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("answered_ms", sa.BigInteger(), nullable=True),
        sa.Column("lamp_answered_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_ledger_alert_id")),
        sa.ForeignKeyConstraint(["org", "device"], ["device.org", "device.id"], name=op.f("fk_ledger_org_device")),
        sa.PrimaryKeyConstraint("org", "device", "b", "n", name=op.f("pk_ledger")),
    )
    op.create_index(op.f("ix_ledger_alert_id"), "ledger", ["alert_id"], unique=False)
    op.create_table(
        "timeline_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_timeline_entry_alert_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline_entry")),
        sa.UniqueConstraint("alert_id", "origin", "seq", name=op.f("uq_timeline_entry_alert_id_origin_seq")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "link_use",
        sa.Column("dispatch_id", sa.String(length=36), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["dispatch_id"], ["dispatch.id"], name=op.f("fk_link_use_dispatch_id")),
        sa.PrimaryKeyConstraint("dispatch_id", name=op.f("pk_link_use")),
    )

    for table in APPEND_ONLY:
        _refuse_changes(table)


def _refuse_changes(table: str) -> None:
    """What was recorded cannot be edited or removed by SQL (S22); retention will come with its own, recorded, way."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    else:
        op.execute(
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} is append-only' "
            f"USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"EXECUTE FUNCTION {table}_append_only()"
        )


def downgrade() -> None:
    raise RuntimeError("there is nothing before the first schema")
