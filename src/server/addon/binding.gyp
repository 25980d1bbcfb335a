{
  "targets": [
    {
      "target_name": "hostfs",
      "conditions": [
        [
          "OS=='linux'",
          {
            "sources": ["hostfs.c"],
            "defines": ["NAPI_VERSION=8", "_GNU_SOURCE", "_FILE_OFFSET_BITS=64"],
            "cflags": ["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
            "cflags!": ["-fno-omit-frame-pointer"]
          },
          { "type": "none" }
        ]
      ]
    }
  ]
}
