#!/usr/bin/env bash
# Run Python with the null GPU: null_gpu.sh FOLDER PYTHON ARGUMENTS… (builds it in FOLDER the first time; needs gcc)
set -euo pipefail
folder=$1 python=$2; shift 2
if [ ! -e "$folder/libcuda.so.1" ]; then
    here=$(cd "$(dirname "$0")" && pwd)
    torch=$("$python" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
    mkdir -p "$folder"
    # What PyTorch asks of cuBLAS and cuDNN succeeds, unless libraries.c knows better; matrix products are counted.
    { echo 'extern long null_matrix_products;'
      nm -D --undefined-only "$torch/lib/libtorch_cuda.so" |
          grep -oE '\b(cublas|cudnn)\w+' | grep -vE 'Version|Error' | sort -u |
          sed -E 's/.*(gemm|Gemm|gemv|dot|Matmul$).*/& null_matrix_products++;/; s/^(\S+)(.*)/__attribute__((weak)) int \1() {\2 return 0; }/'
    } > "$folder/rest.c"
    # The headers are those of torch's own packages, and Triton's for what the wheels leave out.
    gcc -std=gnu17 -O1 -w -shared -fPIC -I"$torch/../nvidia/cu13/include" \
        -idirafter "$torch/../triton/backends/nvidia/include" -Wl,-soname,libcuda.so.1 -o "$folder/build.so" \
        "$here/device.c" "$here/libraries.c" "$folder/rest.c"
    ln -sf libcuda.so.1 "$folder/libcuda.so"
    mv "$folder/build.so" "$folder/libcuda.so.1"
fi
folder=$(cd "$folder" && pwd)
export NULL_GPU=$folder/libcuda.so.1 LD_PRELOAD=$folder/libcuda.so.1 LD_LIBRARY_PATH=$folder TRITON_LIBCUDA_PATH=$folder
export TORCHINDUCTOR_CACHE_DIR=$folder/inductor TRITON_CACHE_DIR=$folder/triton
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$python" "$@"
