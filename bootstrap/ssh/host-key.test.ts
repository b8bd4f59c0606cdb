/** Host keys and known_hosts files. */
import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { isPinned, keyType, formatKey, signatureOrder } from "./host-key.ts";
import { knownKeys, readKnownHosts } from "./known-hosts.ts";

/** A key of a type with a body of `seed`: enough for what only compares bytes. */
function blob(type: string, seed: string): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type + seed)]).toString("base64");
}
const ED = blob("ssh-ed25519", "one");
const RSA = blob("ssh-rsa", "two");
const OTHER = blob("ssh-ed25519", "three");

describe("isPinned()", () => {
  test("accepts each pinned key and no other", () => {
    const offered = Buffer.from(ED, "base64");
    expect(isPinned([ED], offered)).toBe(true);
    expect(isPinned([RSA, ED], offered)).toBe(true);
    expect(isPinned([RSA, OTHER], offered)).toBe(false);
    expect(isPinned([], offered)).toBe(false);
    expect(isPinned([""], Buffer.alloc(0))).toBe(false);
  });
});

describe("signatureOrder()", () => {
  test("asks for the pinned key's type first, and for the others after it", () => {
    expect(signatureOrder([RSA]).slice(0, 3)).toEqual([
      "rsa-sha2-512",
      "rsa-sha2-256",
      "ssh-ed25519",
    ]);
    expect(signatureOrder([])[0]).toBe("ssh-ed25519");
    expect(new Set(signatureOrder([RSA, ED])).size).toBe(signatureOrder([RSA, ED]).length);
  });
});

describe("keyType()", () => {
  test("reads the type, and null from anything else", () => {
    expect(keyType(Buffer.from(RSA, "base64"))).toBe("ssh-rsa");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const type = keyType(bytes);
        expect(type === null || type.length <= 64).toBe(true);
        expect(formatKey(bytes)).toContain("SHA256:");
      }),
    );
  });
});

describe("knownKeys()", () => {
  const salt = Buffer.from("0123456789abcdef0123");
  const hashed = (name: string) =>
    `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
  const file = (...lines: string[]) => `# a comment\n\n${lines.join("\n")}\n`;

  const cases: [string, string, number, string, string[]][] = [
    ["a plain name", "gpu1", 22, file(`gpu1,10.0.0.7 ssh-ed25519 ${ED} me@here`), [ED]],
    ["an address", "10.0.0.7", 22, file(`gpu1,10.0.0.7 ssh-ed25519 ${ED}`), [ED]],
    ["another name", "gpu2", 22, file(`gpu1 ssh-ed25519 ${ED}`), []],
    ["a port", "gpu1", 2222, file(`gpu1 ssh-rsa ${RSA}`, `[gpu1]:2222 ssh-ed25519 ${ED}`), [ED]],
    ["a hashed name", "gpu1", 22, file(`${hashed("gpu1")} ssh-ed25519 ${ED}`), [ED]],
    ["a hashed port", "gpu1", 2222, file(`${hashed("[gpu1]:2222")} ssh-ed25519 ${ED}`), [ED]],
    ["another's hash", "gpu2", 22, file(`${hashed("gpu1")} ssh-ed25519 ${ED}`), []],
    ["patterns", "gpu17.example", 22, file(`gpu*.exam?le,!gpu18* ssh-ed25519 ${ED}`), [ED]],
    ["negation", "gpu18.example", 22, file(`gpu*.exam?le,!gpu18* ssh-ed25519 ${ED}`), []],
    ["case", "GPU1", 22, file(`gpu1 ssh-ed25519 ${ED}`), [ED]],
    ["several keys", "gpu1", 22, file(`gpu1 ssh-ed25519 ${ED}`, `gpu1 ssh-rsa ${RSA}`), [ED, RSA]],
    ["a revoked key", "gpu1", 22, file(`gpu1 ssh-ed25519 ${ED}`, `@revoked * ssh-x ${ED}`), []],
    ["an authority", "gpu1", 22, file(`@cert-authority gpu1 ssh-ed25519 ${ED}`), []],
    ["half a line", "gpu1", 22, file("gpu1 ssh-ed25519", "gpu1", "|1|x"), []],
  ];
  for (const [what, host, port, text, keys] of cases) {
    test(`reads ${what}`, () => expect(knownKeys(text, host, port)).toEqual(keys));
  }

  test("answers any text, and in linear time", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(Array.isArray(knownKeys(text, "gpu1", 22))).toBe(true);
      }),
    );
    const start = performance.now();
    knownKeys(`${"*a".repeat(20_000)}b x ${ED}`, "a".repeat(200), 22);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe("readKnownHosts()", () => {
  test("answers a check, or says what is wrong with the file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-known-"));
    const path = join(folder, "known_hosts");
    writeFileSync(path, `gpu1 ssh-ed25519 ${ED}\n`);
    expect(await readKnownHosts(path, "gpu1", 22)).toEqual({
      ok: true,
      check: { kind: "pinned", keys: [ED] },
    });
    const none = await readKnownHosts(path, "gpu2", 2222);
    expect(none.ok ? "" : none.error).toContain("no key of [gpu2]:2222");
    const absent = await readKnownHosts(join(folder, "absent"), "gpu1", 22);
    expect(absent.ok ? "" : absent.error).toContain("cannot be read");
    rmSync(folder, { recursive: true });
  });
});
