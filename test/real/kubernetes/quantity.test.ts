/**
 * Quantities as Kubernetes' own Go code reads them (`oracle/quantity.go`, at the version of the
 * test cluster): every text that the generator makes has the same exact value in both.
 *
 * Adapter: processes.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parseQuantity } from "../../../reconciler/core/kubernetes/quantity.ts";

const GO = Bun.which("go") ?? (existsSync("/usr/local/go/bin/go") ? "/usr/local/go/bin/go" : null);
const missing = GO === null ? "no Go toolchain" : null;
if (missing !== null) console.error(`SKIPPED: quantities against Kubernetes: ${missing}`);

test("a Go toolchain is here to ask Kubernetes", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const digits = fc.stringMatching(/^\d{1,24}$/);
const suffix = fc.constantFrom(
  ...["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"],
  ...["K", "ki", "i", "e", "mm", "Kib"],
);
const exponent = fc
  .tuple(fc.constantFrom("e", "E"), fc.constantFrom("", "+", "-"), fc.integer({ min: 0, max: 40 }))
  .map((parts) => parts.join(""));
const quantity = fc
  .tuple(
    fc.constantFrom("", "+", "-"),
    fc.oneof(
      digits,
      fc.tuple(digits, digits).map((parts) => parts.join(".")),
    ),
    fc.oneof({ arbitrary: suffix, weight: 3 }, exponent),
  )
  .map((parts) => parts.join(""));

/** `1.50` in billionths. */
function nanosOf(decimal: string): bigint | null {
  if (decimal === "error") return null;
  const [whole = "", fraction = ""] = decimal.split(".");
  // Beyond billionths there are zeros only.
  return BigInt(whole + fraction.slice(0, 9).padEnd(9, "0"));
}

test.skipIf(missing !== null)(
  "W46: quantities are read as Kubernetes reads them",
  async () => {
    const texts = fc.sample(quantity, 5_000);
    const command = [GO ?? "", "run", "-mod=readonly", join(import.meta.dir, "oracle/quantity.go")];
    const child = Bun.spawn(command, {
      cwd: join(import.meta.dir, "module/kubernetes"),
      env: { ...process.env, GOTOOLCHAIN: "local", GOWORK: "off", CGO_ENABLED: "0", GOFLAGS: "" },
      stdin: Buffer.from(`${texts.join("\n")}\n`),
      stdout: "pipe",
      stderr: "pipe",
    });
    const ends = [child.stdout, child.stderr];
    const [out = "", err = ""] = await Promise.all(ends.map((end) => new Response(end).text()));
    expect([await child.exited, err]).toEqual([0, ""]);
    const answers = out.trimEnd().split("\n");
    expect(answers.length).toBe(texts.length);
    const read = texts.map((text) => [text, parseQuantity(text)]);
    const known = texts.map((text, index) => [text, nanosOf(answers[index] ?? "")]);
    expect(read).toEqual(known);
    expect(known.filter(([, nanos]) => nanos !== null).length).toBeGreaterThan(3_000);
  },
  300_000,
);
