package androidx.camera.lifecycle;

import androidx.camera.core.CameraSelector;
import androidx.camera.core.UseCase;
import androidx.lifecycle.LifecycleOwner;

public final class ProcessCameraProvider {
  public static com.google.common.util.concurrent.ListenableFuture<ProcessCameraProvider> getInstance(
      android.content.Context context) { throw new RuntimeException(); }
  public void unbindAll() {}
  public Object bindToLifecycle(LifecycleOwner owner, CameraSelector selector, UseCase... cases) { return null; }
}
