package org.json;

public class JSONObject {
  public JSONObject(String json) throws JSONException {}
  public String getString(String name) throws JSONException { return ""; }
  public int getInt(String name) throws JSONException { return 0; }
  public Object opt(String name) { return null; }
  public boolean has(String name) { return false; }
  public JSONObject getJSONObject(String name) throws JSONException { return this; }
}
