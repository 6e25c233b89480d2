/*
 * The part of LiteRT's C API that uva_attention.c calls, as libLiteRt.so 2.3 exports it.
 *
 * LiteRT's packages for Python and Android contain the library and no headers. These declarations
 * follow the public headers of LiteRT (github.com/google-ai-edge/LiteRT, litert/c, Apache 2.0),
 * checked against the library of ai-edge-litert 2.3.0: from that version on, the functions that
 * make a model take an environment first. `uva_open` tests this before it relies on it.
 */
#ifndef UVA_LITERT_H
#define UVA_LITERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LITERT_VERSION "2.3"

typedef struct LiteRtEnvironmentT *LiteRtEnvironment;
typedef struct LiteRtModelT *LiteRtModel;
typedef struct LiteRtSignatureT *LiteRtSignature;
typedef struct LiteRtTensorT *LiteRtTensor;
typedef struct LiteRtOptionsT *LiteRtOptions;
typedef struct LiteRtCompiledModelT *LiteRtCompiledModel;
typedef struct LiteRtTensorBufferT *LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT *LiteRtTensorBufferRequirements;

typedef int LiteRtStatus; /* 0: success */
enum { LITERT_OK = 0, LITERT_INVALID_ARGUMENT = 1 };
enum { LITERT_FLOAT32 = 1, LITERT_UINT8 = 3 };   /* types of elements */
enum { LITERT_RANKED = 0 };                      /* kind of a tensor's type */
enum { LITERT_PER_TENSOR = 1 };                  /* kind of a quantisation */
enum { LITERT_CPU = 1 };                         /* accelerators */
enum { LITERT_READ = 0, LITERT_WRITE = 1 };      /* kinds of a lock */
enum { LITERT_ACCELERATORS = 24, LITERT_LEAST_SEVERITY = 25 }; /* options of an environment */
enum { LITERT_INTEGER = 2 };                     /* kind of an option's value */
enum { LITERT_SILENT = 4 };                      /* a severity above all others */

typedef struct {
  int tag;
  struct {
    int kind;
    union {
      int64_t integer;
      const void *pointer;
    } value;
  } value;
} LiteRtEnvOption;

typedef struct {
  int element;
  struct {
    unsigned int rank : 7;
    bool has_strides : 1;
    int32_t dimensions[8];
    uint32_t strides[8];
  } layout;
} LiteRtRankedTensorType;

typedef struct {
  float scale;
  int64_t zero_point;
} LiteRtQuantizationPerTensor;

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(LiteRtEnvOption) == 24, "LiteRT's size of an option");
_Static_assert(sizeof(LiteRtRankedTensorType) == 72, "LiteRT's size of a tensor's type");
_Static_assert(sizeof(LiteRtQuantizationPerTensor) == 16, "LiteRT's size of a quantisation");
#endif

LiteRtStatus LiteRtCreateEnvironment(int count, const LiteRtEnvOption *options,
                                     LiteRtEnvironment *environment);
void LiteRtDestroyEnvironment(LiteRtEnvironment environment);

/* The bytes must live as long as the model. */
LiteRtStatus LiteRtCreateModelFromBuffer(LiteRtEnvironment environment, const void *bytes,
                                         size_t size, LiteRtModel *model);
void LiteRtDestroyModel(LiteRtModel model);
LiteRtStatus LiteRtGetNumModelSignatures(LiteRtModel model, size_t *count);
LiteRtStatus LiteRtGetModelSignature(LiteRtModel model, size_t index, LiteRtSignature *signature);

LiteRtStatus LiteRtGetSignatureKey(LiteRtSignature signature, const char **key);
LiteRtStatus LiteRtGetNumSignatureInputs(LiteRtSignature signature, size_t *count);
LiteRtStatus LiteRtGetNumSignatureOutputs(LiteRtSignature signature, size_t *count);
LiteRtStatus LiteRtGetSignatureInputName(LiteRtSignature signature, size_t index,
                                         const char **name);
LiteRtStatus LiteRtGetSignatureOutputName(LiteRtSignature signature, size_t index,
                                          const char **name);
LiteRtStatus LiteRtGetSignatureInputTensorByIndex(LiteRtSignature signature, size_t index,
                                                  LiteRtTensor *tensor);
LiteRtStatus LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature signature, size_t index,
                                                   LiteRtTensor *tensor);
LiteRtStatus LiteRtGetTensorTypeId(LiteRtTensor tensor, int *kind);
LiteRtStatus LiteRtGetRankedTensorType(LiteRtTensor tensor, LiteRtRankedTensorType *type);
LiteRtStatus LiteRtGetQuantizationTypeId(LiteRtTensor tensor, int *kind);
LiteRtStatus LiteRtGetPerTensorQuantization(LiteRtTensor tensor,
                                            LiteRtQuantizationPerTensor *quantization);

LiteRtStatus LiteRtCreateOptions(LiteRtOptions *options);
void LiteRtDestroyOptions(LiteRtOptions options);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions options, int accelerators);

LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment environment, LiteRtModel model,
                                       LiteRtOptions options, LiteRtCompiledModel *compiled);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel compiled);
LiteRtStatus LiteRtGetCompiledModelInputBufferRequirements(
    LiteRtCompiledModel compiled, size_t signature, size_t index,
    LiteRtTensorBufferRequirements *requirements);
LiteRtStatus LiteRtGetCompiledModelOutputBufferRequirements(
    LiteRtCompiledModel compiled, size_t signature, size_t index,
    LiteRtTensorBufferRequirements *requirements);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel compiled, size_t signature,
                                    size_t inputs_count, LiteRtTensorBuffer *inputs,
                                    size_t outputs_count, LiteRtTensorBuffer *outputs);

LiteRtStatus LiteRtCreateManagedTensorBufferFromRequirements(
    LiteRtEnvironment environment, const LiteRtRankedTensorType *type,
    LiteRtTensorBufferRequirements requirements, LiteRtTensorBuffer *buffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer buffer);
LiteRtStatus LiteRtGetTensorBufferPackedSize(LiteRtTensorBuffer buffer, size_t *size);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer buffer, void **memory, int kind);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer buffer);

#endif
