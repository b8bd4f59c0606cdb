import { expect, test } from "bun:test";
import type { SlurmAnswer } from "../core/slurm/client.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import { NodeReader } from "./node-reader.ts";
import { slurmNode } from "../../test/world/memory-slurm.ts";

type Answer = SlurmAnswer<readonly SlurmNode[]>;

function readerOf(answer: (names: readonly string[]) => Answer) {
  const client = { nodes: async (names: readonly string[] = []) => answer(names) };
  return new NodeReader(client as never, { monoMs: () => 0 }, () => undefined);
}

test("NodeReader: only Slurm's own refusal says that a node is absent", async () => {
  const message = "Node n0 not found";
  const refused = readerOf(() => ({ kind: "refused", message }));
  expect(await refused.read("n0")).toEqual({ kind: "absent" });
  // As a shell says it of a command: nothing is known of the node then.
  const failed = readerOf(() => ({ kind: "failed", message: "scontrol: not found" }));
  expect(await failed.read("n0")).toEqual({ kind: "failed", message: "scontrol: not found" });
  const denied = readerOf(() => ({ kind: "refused", message: "the token is rejected" }));
  expect(await denied.read("n0")).toMatchObject({ kind: "failed" });
});

test("NodeReader: a name that Slurm does not know spoils no other read of the same call", async () => {
  const reader = readerOf((names) => {
    if (names.includes("n9")) return { kind: "refused", message: "Node n9 not found" };
    return { kind: "ok", value: names.map((name) => slurmNode(name)) };
  });
  const reads = await Promise.all(["n0", "n9", "n1"].map((name) => reader.read(name)));
  expect(reads.map(({ kind }) => kind)).toEqual(["ok", "absent", "ok"]);
});
