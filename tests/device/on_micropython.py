"""Runs test modules written in the common dialect: `micropython on_micropython.py <folder>... -- <module>...`."""

import sys

at = sys.argv.index("--")
folders, modules = sys.argv[1:at], sys.argv[at + 1 :]
sys.path[:] = folders + sys.path

failed = passed = 0
for name in modules:
    module = __import__(name)
    for test in sorted(dir(module)):
        if test.startswith("test_"):
            try:
                getattr(module, test)()
                passed += 1
            except Exception as error:
                failed += 1
                print("FAILED %s::%s" % (name, test))
                sys.print_exception(error)
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed or not passed else 0)
