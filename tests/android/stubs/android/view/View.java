package android.view;

public class View {
  public View(android.content.Context context) {}
  public final int getWidth() { return 0; }
  public final int getHeight() { return 0; }
  public void invalidate() {}
  public boolean getFitsSystemWindows() { return false; }
  public void setFitsSystemWindows(boolean fits) {}
  public boolean getKeepScreenOn() { return false; }
  public void setKeepScreenOn(boolean keep) {}
  public void setBackgroundColor(int color) {}
  protected void onDraw(android.graphics.Canvas canvas) {}
}
