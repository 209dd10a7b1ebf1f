# Read by llama.cpp's own CMake project when packaging/venv_setup.py builds it: leaves out
# llama-common (chat, JSON, downloads), half of the build, which the Python binding never loads.
set(LLAMA_BUILD_COMMON OFF)
