# `make demo` and `make check` do all the set-up a fresh machine needs; everything lands in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
# A CPU of two cores is shared by two test processes: more threads each would only get in each other's way.
# A process that has run out of tests takes half of the other's, so that both keep what a module's tests share.
TEST_ENV := OMP_NUM_THREADS=1
PROCESSES := 2
TEST_OPTIONS := -n $(PROCESSES) --dist worksteal --durations 50

# The extras whose tests run here; `make check-phones check-libraries check-paddle check-rtx` runs those of others, the rest skip,
# saying so.
TESTED := all

.PHONY: demo check install lint types imports docs test test-slow test-rest test-all languages format new-head clean
.PHONY: check-base check-lowest check-phones check-libraries check-paddle check-rtx check-pythons check-native check-clang fuzz

demo: $(VENV)/installed $(VENV)/native
	$(BIN)/segship demo segship-demo

check: install lint types imports test-all

install: $(VENV)/installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip==26.3"  # 25.1 is the first that knows groups
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[export]"
	touch $@

# The work on arrays in C++: the same masks, sooner. Without a compiler NumPy does it.
$(VENV)/native: $(wildcard native/src/core/* native/python/*) | $(VENV)/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./native/python > $@.log 2>&1 \
	  || echo "segship-native was not built, which takes a C++ compiler ($@.log says why): NumPy does its work"
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e ".[$(TESTED)]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --group configs
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python dev/check_size.py

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

# The guides, and the reference made of docstrings, into build/site; a warning is an error (mkdocs.yml: strict).
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python dev/check_site.py

# What segship-native does is tested beside NumPy's way. build/durations-*.txt keep how long each of the slowest tests took.
test: install $(VENV)/native
	mkdir -p build
	set -o pipefail; $(TEST_ENV) $(BIN)/pytest $(TEST_OPTIONS) -m "not slow" | tee build/durations-test.txt

test-slow: install
	mkdir -p build
	set -o pipefail; $(TEST_ENV) $(BIN)/pytest $(TEST_OPTIONS) -m slow | tee build/durations-slow.txt

# What `make test-slow` leaves, in the environment as it is: CI runs the two at once.
test-rest: install
	mkdir -p build
	set -o pipefail; $(TEST_ENV) $(BIN)/pytest $(TEST_OPTIONS) -m "not slow" | tee build/durations-rest.txt

# Both: the tests are collected once.
test-all: install
	mkdir -p build
	set -o pipefail; $(TEST_ENV) $(BIN)/pytest $(TEST_OPTIONS) | tee build/durations-all.txt

# The program of each language, build/languages/NAME, and a table of what it makes of the golden vectors. ONLY=c,java takes
# some; REQUIRE=1: what is missing here is an error.
languages: $(VENV)/installed
	$(BIN)/python dev/languages.py $(if $(ONLY),--only $(ONLY)) $(if $(REQUIRE),--require)

# Other environments than `make check`'s: without torch, the lowest dependencies, engines of devices, newer Pythons.
check-base check-lowest check-phones check-libraries check-paddle check-rtx check-pythons: check-%: install
	$(BIN)/python dev/environments.py $*

# Fuzzing needs atheris, which is no dependency: an environment of its own below build/, beside .venv's packages. An hour of all
# ten readers; MINUTES says for how long, together, and SECONDS how long one input may take.
MINUTES := 60
SECONDS := 5
fuzz: install
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python build/fuzz/venv
	$(BIN)/uv pip install --quiet --python build/fuzz/venv/bin/python atheris==3.0.0
	PYTHONPATH=$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") \
	  build/fuzz/venv/bin/python fuzz/run.py --minutes $(MINUTES) --seconds $(SECONDS)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

new-head: install
	$(BIN)/python dev/new_head.py $(NAME)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist

# The native library's golden vectors under sanitizers; `make check-clang` builds all of it with clang's warnings as errors.
check-native:
	cmake -S native -B build/sanitized -DSEGSHIP_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo
	cmake --build build/sanitized --parallel 2 --target test_vectors
	cd build/sanitized && ctest --output-on-failure

check-clang:
	cmake -S native -B build/clang -DCMAKE_CXX_COMPILER=clang++
	cmake --build build/clang --parallel 2
	cd build/clang && ctest --output-on-failure
