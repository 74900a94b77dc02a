# Sourced by dist_train.sh and dist_test.sh: says at once what torchrun's ranks would each say by a traceback.
# Needs $python, and the number of ranks on this machine as $gpus.
if ! [[ $gpus =~ ^([1-9][0-9]*|auto|gpu|cpu)$ ]]; then
    echo "error: the number of GPUs is '$gpus': give 1 or more." >&2
    exit 2
fi
if [[ $gpus =~ ^[0-9]+$ ]]; then
    found=$("$python" -c 'import torch; print(torch.cuda.device_count())')
    if [ "$found" -eq 0 ]; then
        echo "No GPU is found: $gpus processes run on the CPU, over gloo." >&2
    elif [ "$found" -lt "$gpus" ]; then
        echo "error: $gpus GPUs are asked for, and PyTorch sees $found (CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-not set})." >&2
        echo "Ask for $found; with train.py --total-batch N the step stays the same." >&2
        exit 2
    fi
fi
if [ "$gpus" != 1 ]; then
    # What torchrun and MMEngine set themselves, each with a warning.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-1}
fi
