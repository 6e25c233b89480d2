package com.google.ai.edge.litert

import android.content.res.AssetManager

enum class Accelerator { CPU }

class TensorBuffer : AutoCloseable {
  fun writeInt8(data: ByteArray): Unit = TODO("$data")
  fun readInt8(): ByteArray = TODO()
  override fun close(): Unit = TODO()
}

class CompiledModel : AutoCloseable {
  class Options(vararg val accelerators: Accelerator)

  fun createInputBuffer(inputName: String, signature: String = ""): TensorBuffer =
    TODO(inputName + signature)
  fun createOutputBuffer(outputName: String, signature: String = ""): TensorBuffer =
    TODO(outputName + signature)
  fun run(
    inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String
  ): Unit = TODO("$inputs$outputs$signature")
  override fun close(): Unit = TODO()

  companion object {
    fun create(filePath: String, options: Options): CompiledModel = TODO("$filePath$options")
    fun create(assetManager: AssetManager, assetName: String, options: Options): CompiledModel =
      TODO("$assetManager$assetName$options")
  }
}
