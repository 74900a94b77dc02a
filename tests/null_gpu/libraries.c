/* cuBLAS and cuDNN of the null GPU: what must hand something back. All other functions of theirs that PyTorch calls are
 * made by null_gpu.sh and return success. See README.md. */
#include <stddef.h>
#include <string.h>

#define HANDLE ((void *)64)

long null_matrix_products, null_cudnn_calls; /* read by step.py */

int cublasCreate_v2(void **h) { return *h = HANDLE, 0; }
int cublasGetMathMode(void *h, int *mode) { return *mode = 0; }
int cublasGetPointerMode_v2(void *h, int *mode) { return *mode = 0; }
int cublasLtCreate(void **h) { return *h = HANDLE, 0; }
int cublasLtMatmulDescCreate(void **h) { return *h = HANDLE, 0; }
int cublasLtMatmulPreferenceCreate(void **h) { return *h = HANDLE, 0; }
int cublasLtMatrixLayoutCreate(void **h) { return *h = HANDLE, 0; }

struct algorithm { unsigned long long opaque[8]; size_t workspace; int state; float waves; int reserved[4]; };
int cublasLtMatmulAlgoGetHeuristic(
    void *h, void *d, void *a, void *b, void *c, void *e, void *p, int n, struct algorithm *found, int *num
) {
    return memset(found, 0, sizeof *found), *num = 1, 0;
}

#define CREATES(what) int cudnnCreate##what(void **h) { return *h = HANDLE, 0; }
CREATES() CREATES(ActivationDescriptor) CREATES(ConvolutionDescriptor) CREATES(DropoutDescriptor)
CREATES(FilterDescriptor) CREATES(PoolingDescriptor) CREATES(RNNDataDescriptor) CREATES(RNNDescriptor)
CREATES(TensorDescriptor)

/* Convolutions by cuDNN's graphs: an object is its own type, an attribute is zero and there is one of it. */
int cudnnBackendCreateDescriptor(int type, void **d) { return *d = (void *)(4096L + 16 * type), 0; }
int cudnnBackendGetAttribute(void *d, int name, int type, long room, long *num, void *values) {
    enum { INT64 = 3, HANDLE_TYPE = 0, DOUBLE = 1, DESCRIPTOR = 15 };
    if (num) *num = 1;
    if (values && room >= 1 && type != DESCRIPTOR) memset(values, 0, type == DOUBLE || type == INT64 ? 8 : 4);
    return 0;
}
int cudnnBackendExecute() { return null_cudnn_calls++, 0; }

/* Convolutions by name: one algorithm, which needs no workspace. */
struct choice { int algorithm, status; float time; size_t memory; int determinism, math, reserved[3]; };
static int choose(int *num, struct choice *c) {
    *c = (struct choice){.algorithm = 1, .math = 1};
    return *num = 1, 0;
}
#define CONVOLUTION(pass) \
    int cudnnGetConvolution##pass##Algorithm_v7( \
        void *h, void *x, void *y, void *c, void *z, int wanted, int *num, struct choice *r \
    ) { return choose(num, r); } \
    int cudnnFindConvolution##pass##AlgorithmEx( \
        void *h, void *xd, void *x, void *yd, void *y, void *c, void *zd, void *z, int wanted, int *num, \
        struct choice *r, void *workspace, size_t n \
    ) { return choose(num, r); } \
    int cudnnGetConvolution##pass##WorkspaceSize(void *h, void *x, void *y, void *c, void *z, int a, size_t *n) { \
        return *n = 0; \
    } \
    int cudnnConvolution##pass() { return null_cudnn_calls++, 0; }
CONVOLUTION(Forward) CONVOLUTION(BackwardData) CONVOLUTION(BackwardFilter)

/* Batch norm. */
int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    void *h, int m, int o, void *a, void *b, void *c, void *d, void *e, size_t *n
) { return *n = 0; }
int cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    void *h, int m, int o, void *a, void *b, void *c, void *d, void *e, void *f, void *g, size_t *n
) { return *n = 0; }
int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void *h, int m, int o, void *a, void *b, size_t *n) {
    return *n = 0;
}
