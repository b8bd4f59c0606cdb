import { describe, expect, test } from "bun:test";
import { LIBRARY_NAME, libraryCandidates, openLibrary } from "./library.ts";

describe("libraryCandidates()", () => {
  test("looks here, then through the node's root, then in the operator's driver root", () => {
    const found = libraryCandidates(null, "x64");
    const at = (path: string) => found.indexOf(`${path}/${LIBRARY_NAME}`);
    const order = [
      at("/usr/lib/x86_64-linux-gnu"),
      at("/usr/local/nvidia/lib64"),
      at("/host/proc/1/root/usr/lib/x86_64-linux-gnu"),
      at("/proc/1/root/usr/lib64"),
      at("/run/nvidia/driver/usr/lib/x86_64-linux-gnu"),
    ];
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  test("names absolute paths only, each once", () => {
    for (const arch of ["x64", "arm64"] as const) {
      const found = libraryCandidates(null, arch);
      expect(found.filter((path) => !path.startsWith("/"))).toEqual([]);
      expect(new Set(found).size).toBe(found.length);
    }
  });

  test("leaves out the other processor's folder", () => {
    expect(libraryCandidates(null, "x64").join()).not.toContain("aarch64");
    expect(libraryCandidates(null, "arm64").join()).not.toContain("x86_64");
  });

  test("takes an explicit path alone", () => {
    expect(libraryCandidates("/opt/x.so", "x64")).toEqual(["/opt/x.so"]);
  });
});

describe("openLibrary()", () => {
  test("refuses a path that depends on the current directory", () => {
    expect(openLibrary("libnvidia-ml.so.1")).toMatchObject({
      kind: "failed",
      failure: { reason: "library", message: expect.stringContaining("must be absolute") },
    });
  });
});
