# The interpreter of tests that compare with Python's references; deploy/setup/python.sh makes it.
set(BESSEMER_PYTHON ${PROJECT_SOURCE_DIR}/build/venv/bin/python CACHE FILEPATH "Python with tests/requirements.txt installed")
