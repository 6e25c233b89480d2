package androidx.camera.core.resolutionselector;

public final class ResolutionSelector {
  public static final class Builder {
    public Builder setAspectRatioStrategy(AspectRatioStrategy strategy) { return this; }
    public ResolutionSelector build() { throw new RuntimeException(); }
  }
}
