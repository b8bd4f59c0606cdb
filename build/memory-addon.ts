/**
 * Loads the native addon of a compiled binary from memory, memfd_create(2). The runtime (Bun 1.4.5)
 * would write 10 MB to `TMPDIR` for each user and version and leave it there. It would also load a
 * damaged file of the right size, and fail where the folder is mounted `noexec`.
 *
 * Only in the binary, where `static-libsql.ts` puts it.
 * Adapter: native library, files.
 */
import { dlopen } from "bun:ffi";
import { closeSync, readFileSync, writeSync } from "node:fs";

/** `<linux/memfd.h>`. Kernels that refuse executable memory files accept the second (Linux 6.3). */
const MFD_CLOEXEC = 1;
const MFD_NOEXEC_SEAL = 8;

/** `path` is the addon's place inside the binary. Throws if it cannot be loaded at all. */
export function loadAddon(path: string): unknown {
  try {
    return loadFromMemory(path);
  } catch {
    // Without memfd_create (old kernel, sandbox): as the runtime does it.
    return load(path);
  }
}

function loadFromMemory(path: string): unknown {
  const file = openMemory();
  try {
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    return load(`/proc/self/fd/${file}`);
  } finally {
    // What is loaded stays mapped.
    closeSync(file);
  }
}

function openMemory(): number {
  const signature = { args: ["ptr", "u32"], returns: "i32" } as const;
  const libc = dlopen("libc.so.6", { memfd_create: signature });
  try {
    const name = Buffer.from("addon\0");
    const sealed = libc.symbols.memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    const file = sealed < 0 ? libc.symbols.memfd_create(name, MFD_CLOEXEC) : sealed;
    if (file < 0) throw new Error("memfd_create failed");
    return file;
  } finally {
    libc.close();
  }
}

function load(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}
