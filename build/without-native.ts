/**
 * Leaves the native parts of `ssh2` out of a compiled binary: parts built on this machine must not
 * get into a binary for another. The library works without them.
 */
import type { BunPlugin } from "bun";

/** `cpu-features`, and the cipher addon of `ssh2` 1.17. */
export const NATIVE = /^cpu-features$|\/sshcrypto\.node$/;

export function withoutNative(): BunPlugin {
  return {
    name: "without-native",
    setup(build) {
      build.onResolve({ filter: NATIVE }, () => ({ path: "native", namespace: "absent" }));
      build.onLoad({ filter: /.*/, namespace: "absent" }, () => ({
        contents: 'throw new Error("not part of this binary");',
        loader: "js",
      }));
    },
  };
}
