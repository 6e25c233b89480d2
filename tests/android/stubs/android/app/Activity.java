package android.app;

public class Activity extends android.content.Context {
  protected void onCreate(android.os.Bundle saved) {}
  protected void onStart() {}
  protected void onDestroy() {}
  public void setContentView(android.view.View view) {}
  public final void runOnUiThread(Runnable work) {}
}
