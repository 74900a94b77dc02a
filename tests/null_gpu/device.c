/* The device of the null GPU: CUDA's runtime and driver without one. Memory is addresses that nothing lies at, a launch
 * is counted, and what would wait is done at once. See README.md. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cuda_runtime_api.h>
#undef cudaGetDeviceProperties /* the header renames some functions to older or newer versions of themselves */
#undef cudaStreamGetCaptureInfo
#undef cudaEventElapsedTime

typedef cudaError_t E;
#define HANDLE ((void *)64) /* of everything that is made once and never looked into */
#define TOTAL 85000000000L

long null_launches, null_copies_to_host, null_waits; /* read by step.py */

/* Device and properties: an H100. */

E cudaGetDeviceCount(int *n) { return *n = 1, 0; }
E cudaGetDevice(int *n) { return *n = 0, 0; }
E cudaSetDevice(int n) { return 0; }
E cudaDriverGetVersion(int *v) { return *v = 13000, 0; }
E cudaRuntimeGetVersion(int *v) { return *v = 13000, 0; }
E cudaGetLastError(void) { return 0; }
E cudaPeekAtLastError(void) { return 0; }
E cudaDeviceSynchronize(void) { return 0; }
E cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { return *least = 0, *greatest = -5, 0; }
E cudaDeviceGetPCIBusId(char *s, int n, int d) { return snprintf(s, n, "0000:00:00.0"), 0; }
E cudaDeviceCanAccessPeer(int *v, int a, int b) { return *v = 0; }
E cudaProfilerStart(void) { return 0; }
E cudaProfilerStop(void) { return 0; }

E cudaGetDeviceProperties(struct cudaDeviceProp *p, int d) {
    *p = (struct cudaDeviceProp){
        .name = "null GPU", .major = 9, .totalGlobalMem = TOTAL, .multiProcessorCount = 132, .warpSize = 32,
        .sharedMemPerBlock = 49152, .sharedMemPerBlockOptin = 232448, .sharedMemPerMultiprocessor = 233472,
        .regsPerBlock = 65536, .regsPerMultiprocessor = 65536, .maxThreadsPerBlock = 1024,
        .maxThreadsPerMultiProcessor = 2048, .maxBlocksPerMultiProcessor = 32, .maxThreadsDim = {1024, 1024, 64},
        .maxGridSize = {2147483647, 65535, 65535}, .l2CacheSize = 52428800, .memoryBusWidth = 5120,
        .concurrentKernels = 1, .asyncEngineCount = 3, .unifiedAddressing = 1, .textureAlignment = 512,
    };
    return 0;
}

E cudaDeviceGetAttribute(int *v, enum cudaDeviceAttr attribute, int d) {
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *v = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *v = 0; break;
    case cudaDevAttrMultiProcessorCount: *v = 132; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *v = 49152; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = 232448; break;
    case cudaDevAttrMaxThreadsPerBlock: *v = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *v = 2048; break;
    case cudaDevAttrMaxRegistersPerBlock: *v = 65536; break;
    case cudaDevAttrWarpSize: *v = 32; break;
    case cudaDevAttrMaxGridDimX: *v = 2147483647; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *v = 65535; break;
    default: *v = 1;
    }
    return 0;
}

/* Memory: a range of addresses that no process has. What is freed is not given out again; PyTorch's allocator keeps it. */

static char *const begin = (char *)0x600000000000, *const end = (char *)0x700000000000;
static char *top = (char *)0x600000000000;
static long used;
static struct { char *start; size_t size; } pinned[65536];
static int num_pinned;

static int on_device(const void *p) { return (char *)p >= begin && (char *)p < end; }

E cudaMalloc(void **p, size_t n) {
    *p = top;
    top += (n + 0x3fffff) & ~0x1fffffUL; /* 2 MB pages, one more between neighbors */
    used += n;
    return 0;
}
E cudaFree(void *p) { return 0; }
E cudaMemGetInfo(size_t *available, size_t *total) {
    *total = TOTAL;
    *available = used < TOTAL ? TOTAL - used : 0;
    return 0;
}

E cudaHostAlloc(void **p, size_t n, unsigned flags) {
    if (num_pinned == 65536 || posix_memalign(p, 4096, n ? n : 1)) return cudaErrorMemoryAllocation;
    pinned[num_pinned].start = *p;
    pinned[num_pinned++].size = n;
    return 0;
}
static int pinned_at(const void *p) { /* the place in the list, -1 for other memory */
    for (int i = 0; i < num_pinned; i++)
        if ((char *)p >= pinned[i].start && (char *)p < pinned[i].start + pinned[i].size) return i;
    return -1;
}
E cudaFreeHost(void *p) {
    int i = pinned_at(p);
    if (i >= 0) pinned[i] = pinned[--num_pinned];
    free(p);
    return 0;
}
E cudaHostRegister(void *p, size_t n, unsigned flags) { return 0; }
E cudaHostUnregister(void *p) { return 0; }
E cudaPointerGetAttributes(struct cudaPointerAttributes *a, const void *p) {
    *a = (struct cudaPointerAttributes){.type = cudaMemoryTypeUnregistered};
    if (on_device(p)) a->type = cudaMemoryTypeDevice, a->devicePointer = (void *)p;
    else if (pinned_at(p) >= 0) a->type = cudaMemoryTypeHost, a->hostPointer = (void *)p;
    return 0;
}

E cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind kind) {
    if (on_device(to)) return 0;
    if (!on_device(from)) return memcpy(to, from, n), 0;
    null_copies_to_host++;
    return memset(to, 0, n), 0; /* whatever is read from the device is zero */
}
E cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind, cudaStream_t s) {
    return cudaMemcpy(to, from, n, kind);
}
E cudaMemcpyPeerAsync(void *to, int a, const void *from, int b, size_t n, cudaStream_t s) { return 0; }
E cudaMemcpyToSymbol(const void *s, const void *p, size_t n, size_t o, enum cudaMemcpyKind k) { return 0; }
E cudaMemset(void *p, int v, size_t n) { return 0; }
E cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s) { return 0; }
E cudaGetSymbolAddress(void **p, const void *s) { return *p = begin, 0; }

/* Streams and events: all work is done when it is asked for. */

static long handles = 0x1000;
static E new_handle(void **h) { return *h = (void *)(handles += 16), 0; }

E cudaStreamCreate(cudaStream_t *s) { return new_handle((void **)s); }
E cudaStreamCreateWithPriority(cudaStream_t *s, unsigned flags, int p) { return new_handle((void **)s); }
E cudaStreamDestroy(cudaStream_t s) { return 0; }
E cudaStreamGetPriority(cudaStream_t s, int *p) { return *p = 0; }
E cudaStreamQuery(cudaStream_t s) { return 0; }
E cudaStreamSynchronize(cudaStream_t s) { return null_waits++, 0; }
E cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags) { return 0; }
E cudaStreamIsCapturing(cudaStream_t s, enum cudaStreamCaptureStatus *c) { return *c = 0; }
E cudaStreamGetCaptureInfo(
    cudaStream_t s, enum cudaStreamCaptureStatus *c, unsigned long long *id, cudaGraph_t *g,
    const cudaGraphNode_t **nodes, const cudaGraphEdgeData **edges, size_t *n
) {
    if (c) *c = 0;
    if (id) *id = 0;
    return 0;
}
E cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *m) { return 0; }
E cudaEventCreate(cudaEvent_t *e) { return new_handle((void **)e); }
E cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags) { return new_handle((void **)e); }
E cudaEventDestroy(cudaEvent_t e) { return 0; }
E cudaEventQuery(cudaEvent_t e) { return 0; }
E cudaEventRecord(cudaEvent_t e, cudaStream_t s) { return 0; }
E cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned flags) { return 0; }
E cudaEventSynchronize(cudaEvent_t e) { return null_waits++, 0; }
E cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b) { return *ms = 1, 0; }

/* Kernels of PyTorch. */

E cudaLaunchKernel(const void *f, dim3 g, dim3 b, void **a, size_t n, cudaStream_t s) { return null_launches++, 0; }
E __cudaLaunchKernel(void *k, dim3 g, dim3 b, void **a, size_t n, cudaStream_t s) { return null_launches++, 0; }
E cudaLaunchKernelExC(const cudaLaunchConfig_t *c, const void *f, void **a) { return null_launches++, 0; }
E cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t f, void *data) { return f(data), 0; }
E __cudaGetKernel(void **k, const void *f) { return *k = (void *)f, 0; }
char __cudaInitModule(void **h) { return 0; }
E cudaFuncGetAttributes(struct cudaFuncAttributes *a, const void *f) {
    *a = (struct cudaFuncAttributes){
        .maxThreadsPerBlock = 1024, .numRegs = 64, .ptxVersion = 90, .binaryVersion = 90,
        .maxDynamicSharedSizeBytes = 232448,
    };
    return 0;
}
E cudaFuncSetAttribute(const void *f, enum cudaFuncAttribute a, int v) { return 0; }
E cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, const void *f, int b, size_t s) { return *n = 2, 0; }
E cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *f, int b, size_t s, unsigned flags) {
    return *n = 2, 0;
}

/* The driver, for kernels of Triton and for what PyTorch asks by name. */

int null_success(void) { return 0; }
E cudaGetDriverEntryPointByVersion(
    const char *name, void **p, unsigned version, unsigned long long flags, enum cudaDriverEntryPointQueryResult *result
) {
    *p = dlsym(RTLD_DEFAULT, name);
    if (!*p) *p = null_success;
    if (result) *result = 0;
    return 0;
}

#define SUCCEEDS(name) int name() { return 0; }
SUCCEEDS(cuCtxGetLimit) SUCCEEDS(cuCtxSetCurrent) SUCCEEDS(cuCtxSetLimit) SUCCEEDS(cuFuncSetAttribute)
SUCCEEDS(cuFuncSetCacheConfig) SUCCEEDS(cuInit) SUCCEEDS(cuLinkAddData_v2) SUCCEEDS(cuLinkComplete)
SUCCEEDS(cuLinkCreate_v2) SUCCEEDS(cuModuleUnload) SUCCEEDS(cuPointerGetAttribute) SUCCEEDS(cuTensorMapEncodeTiled)

int cuDriverGetVersion(int *v) { return *v = 13000, 0; }
int cuDeviceGetCount(int *n) { return *n = 1, 0; }
int cuDeviceGet(int *d, int index) { return *d = 0; }
int cuDeviceGetName(char *s, int n, int d) { return snprintf(s, n, "null GPU"), 0; }
int cuDeviceGetAttribute(int *v, int attribute, int d) { return cudaDeviceGetAttribute(v, attribute, d); }
int cuDevicePrimaryCtxGetState(int d, unsigned *flags, int *active) { return *flags = 0, *active = 1, 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { return *c = HANDLE, 0; }
int cuCtxGetCurrent(void **c) { return *c = HANDLE, 0; }
int cuModuleLoad(void **m, const char *file) { return *m = HANDLE, 0; }
int cuModuleLoadData(void **m, const void *x) { return *m = HANDLE, 0; }
int cuModuleLoadDataEx(void **m, const void *x) { return *m = HANDLE, 0; }
int cuModuleGetFunction(void **f, void *m, const char *name) { return *f = HANDLE, 0; }
int cuFuncGetAttribute(int *v, int attribute, void *f) { /* 0: threads a block, 4: registers */
    return *v = attribute == 0 ? 1024 : attribute == 4 ? 32 : 0, 0;
}
int cuGetErrorString(int e, const char **s) { return *s = "null GPU", 0; }
int cuLaunchKernel() { return null_launches++, 0; }
int cuLaunchKernelEx() { return null_launches++, 0; }
int cuLaunchCooperativeKernel() { return null_launches++, 0; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n) { return *n = 2, 0; }
int cuOccupancyMaxActiveClusters(int *n) { return *n = 16, 0; }
