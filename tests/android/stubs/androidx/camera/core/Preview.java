package androidx.camera.core;

import androidx.camera.core.resolutionselector.ResolutionSelector;

public final class Preview extends UseCase {
  public void setSurfaceProvider(SurfaceProvider provider) {}

  public interface SurfaceProvider {}

  public static final class Builder {
    public Builder setResolutionSelector(ResolutionSelector selector) { return this; }
    public Preview build() { throw new RuntimeException(); }
  }
}
