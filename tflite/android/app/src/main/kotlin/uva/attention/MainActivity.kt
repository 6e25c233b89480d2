package uva.attention

import android.Manifest.permission.CAMERA
import android.content.pm.PackageManager.PERMISSION_GRANTED
import android.graphics.Color
import android.os.Bundle
import android.view.Gravity
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.FrameLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import java.util.concurrent.Executors

/** The back camera with attention drawn over it. */
class MainActivity : ComponentActivity() {
  private val worker = Executors.newSingleThreadExecutor()
  private lateinit var camera: PreviewView
  private lateinit var heat: HeatView
  private lateinit var message: TextView

  // Used by the worker alone.
  private var predictor: AttentionPredictor? = null
  private var failed = false

  private val permission =
    registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
      if (granted) startCamera() else tell("Allow the camera in the settings of this app.")
    }

  override fun onCreate(savedInstanceState: Bundle?) {
    super.onCreate(savedInstanceState)
    camera = PreviewView(this)
    camera.scaleType = PreviewView.ScaleType.FIT_CENTER // the whole frame, as the map covers it
    heat = HeatView(this)
    message = TextView(this)
    message.setTextColor(Color.WHITE)
    message.setBackgroundColor(Color.BLACK)
    val whole = FrameLayout(this)
    whole.fitsSystemWindows = true
    whole.keepScreenOn = true
    whole.addView(camera)
    whole.addView(heat)
    whole.addView(message, FrameLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT, Gravity.BOTTOM))
    setContentView(whole)
    if (checkSelfPermission(CAMERA) == PERMISSION_GRANTED) startCamera() else permission.launch(CAMERA)
  }

  override fun onStart() {
    super.onStart()
    worker.execute { predictor?.reset() } // the last frame is an old one
  }

  override fun onDestroy() {
    super.onDestroy()
    worker.execute { predictor?.close() }
    worker.shutdown()
  }

  private fun startCamera() {
    val coming = ProcessCameraProvider.getInstance(this)
    val bound = Runnable {
      try {
        bind(coming.get())
      } catch (error: Exception) { // CameraX throws many kinds
        tell("The camera does not start: ${error.message}")
      }
    }
    coming.addListener(bound, mainExecutor)
  }

  private fun bind(provider: ProcessCameraProvider) {
    val ratio =
      ResolutionSelector.Builder()
        .setAspectRatioStrategy(AspectRatioStrategy.RATIO_4_3_FALLBACK_AUTO_STRATEGY)
        .build()
    val preview = Preview.Builder().setResolutionSelector(ratio).build()
    preview.setSurfaceProvider(camera.surfaceProvider)
    val analysis =
      ImageAnalysis.Builder()
        .setResolutionSelector(ratio)
        .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
        .build()
    analysis.setAnalyzer(worker, ImageAnalysis.Analyzer { image -> analyse(image) })
    provider.unbindAll()
    provider.bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, preview, analysis)
  }

  private fun analyse(image: ImageProxy) {
    try {
      if (failed) return
      val current = predictor ?: AttentionPredictor(assets, MODEL).also { predictor = it }
      val frame = AttentionPredictor.upright(image)
      val map = current.step(frame)
      runOnUiThread { heat.show(map, current.side, frame.width, frame.height) }
    } catch (error: Exception) { // a model that can't be used, or LiteRT's own
      failed = true
      tell("No map: ${error.message}")
    } finally {
      image.close()
    }
  }

  private fun tell(text: String) = runOnUiThread { message.text = text }

  private companion object {
    const val MODEL = "uva-64-int8-step.tflite"
  }
}
