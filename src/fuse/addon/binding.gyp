{
  "targets": [
    {
      "target_name": "fusedev",
      "conditions": [
        [
          "OS=='linux'",
          {
            "sources": ["fusedev.c", "process.c"],
            "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
            "cflags": ["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
            "cflags!": ["-fno-omit-frame-pointer"]
          },
          { "type": "none" }
        ]
      ]
    }
  ]
}
