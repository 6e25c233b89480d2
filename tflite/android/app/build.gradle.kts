import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// The model and its manifest, which the repository holds once.
val weights = rootDir.resolve("../../uva_tf/weights")
val model = "uva-64-int8-step"
val assets = layout.buildDirectory.dir("generated/model")

val copyModel by tasks.registering(Copy::class) {
    listOf("tflite", "json").forEach { ending ->
        val file = weights.resolve("$model.$ending")
        require(file.isFile) { "$file is missing: open the project inside the repository" }
        from(file)
    }
    into(assets)
}

tasks.named("preBuild") { dependsOn(copyModel) }

android {
    namespace = "uva.attention"
    compileSdk = 35
    defaultConfig {
        applicationId = "uva.attention"
        minSdk = 31
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
        ndk { abiFilters += "arm64-v8a" }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    sourceSets["main"].assets.srcDir(assets)
    androidResources { noCompress += "tflite" }
}

kotlin { compilerOptions { jvmTarget = JvmTarget.JVM_17 } }

dependencies {
    implementation("androidx.activity:activity:1.10.1")
    implementation("androidx.camera:camera-camera2:1.4.2")
    implementation("androidx.camera:camera-lifecycle:1.4.2")
    implementation("androidx.camera:camera-view:1.4.2")
    implementation("com.google.ai.edge.litert:litert:2.1.6")
}
