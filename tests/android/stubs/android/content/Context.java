package android.content;

public abstract class Context {
  public android.content.res.AssetManager getAssets() { throw new RuntimeException(); }
  public int checkSelfPermission(String permission) { throw new RuntimeException(); }
  public java.util.concurrent.Executor getMainExecutor() { throw new RuntimeException(); }
}
