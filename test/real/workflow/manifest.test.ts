/** Manifests are read as sigs.k8s.io/yaml reads them, on which Kubernetes' tools are built. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readManifest } from "../../../simulator/workflow/manifest.ts";
import { TaskError } from "../../../simulator/workflow/task.ts";
import { openOracle } from "./oracle.ts";

const oracle = await openOracle();
const missing = typeof oracle === "string" && process.env["CI"] !== "true" ? oracle : null;
if (missing !== null) console.error(`skipped: manifests against Go: ${missing}`);

/** JSON with its keys in order; an integer beyond 2^53 as it is written. */
function ours(yaml: string): string {
  try {
    return JSON.stringify(readManifest(yaml));
  } catch (cause) {
    if (cause instanceof TaskError) return `refused: ${cause.message}`;
    throw cause;
  }
}

const sorted = (json: string): unknown =>
  JSON.parse(json.replace(/([:[,])(-?\d{16,})(?=[\],}])/g, '$1"digits $2"'));

async function compare(manifests: readonly string[]): Promise<void> {
  if (typeof oracle === "string") throw new Error(oracle);
  const judged = await oracle(manifests.map((yaml) => ({ yaml })));
  const wrong = manifests.flatMap((yaml, at) => {
    const { out = "", err = "" } = judged[at] ?? {};
    const got = ours(yaml);
    const isSame =
      err === "" && !got.startsWith("refused") && Bun.deepEquals(sorted(got), sorted(out));
    return isSame || (err !== "" && got.startsWith("refused")) ? [] : [{ yaml, got, out, err }];
  });
  expect(wrong.slice(0, 10)).toEqual([]);
}

const SCALARS = (
  "y Y yes Yes YES n N no NO on On ON off Off OFF true True TRUE tRUE false ~ null Null NULL 1 -1 +1 " +
  "0 00 010 0o10 -010 0x1F 0b101 1_000 1__0 _1 1_ 9007199254740993 -9007199254740993 " +
  "9223372036854775807 18446744073709551615 1.5 1. .5 1e3 1E3 1.5e-3 -0.5 +.5 1_0.5 12:30 1:30:00 " +
  "190:20:30 2026-07-29 2026-07-29T10:00:00Z 0.10 1.10 1.0 100m 1Gi 8080:80 a:b <no\\u0020value> " +
  "'yes' \"no\" '1' v1 0x 0b 08 09 .inf5 1e 1e+ - -- a-b =  /x !x @x"
)
  .split(" ")
  .filter((one) => one !== "" && !/^[!@]/.test(one));

describe.skipIf(missing !== null)("manifests and sigs.k8s.io/yaml", () => {
  test("W20: scalars", async () => {
    await compare(SCALARS.map((scalar) => `a: ${scalar}\nb: [${scalar}]\n`));
  });

  test("W20: any text of letters of scalars", async () => {
    const letter = fc.constantFrom(...'0123456789abcdefxo_+-.:eEyYnN"~ '.split(""));
    const scalar = fc.array(letter, { minLength: 1, maxLength: 6 }).map((all) => all.join(""));
    const safe = scalar.filter((one) => !/["]|: |:$|^[-:? ]|^\.|\.(inf|nan)/i.test(one.trim()));
    await compare(fc.sample(safe, { numRuns: 5_000, seed: 3 }).map((one) => `a: ${one}\n`));
  });
});
