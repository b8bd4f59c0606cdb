/**
 * The load generator as the bench sees it: an order in, stages while it runs, a result out. It is a
 * process of its own (decision 24), so that its work is not counted as the control plane's.
 * Adapter: child process.
 */
import { join } from "node:path";
import * as v from "valibot";
import { closeProcess, openProcess } from "./process.ts";

export const LoadOrder = v.object({
  url: v.string(),
  transport: v.picklist(["stream", "post"]),
  agents: v.number(),
  /** Each agent reports this often; agents are spread evenly over it. */
  everyMs: v.number(),
  /** Every how manieth report carries a full check. */
  checkEvery: v.number(),
  /** Reports before the measured window, then the window itself. */
  warmMs: v.number(),
  measureMs: v.number(),
  /** How long the connections stay open and quiet afterwards, so that memory at rest is seen. */
  restMs: v.number(),
  /** One token an agent. */
  tokens: v.array(v.string()),
});
export type LoadOrder = v.InferOutput<typeof LoadOrder>;

export const LoadResult = v.object({
  registerMs: v.number(),
  /** Milliseconds from send to reply of every report in the window. */
  latencies: v.array(v.number()),
  /** Milliseconds by which the generator itself was late to send; its own event loop's delay. */
  lags: v.array(v.number()),
  sent: v.number(),
  answered: v.number(),
  /** Replies that were errors, connections that broke, replies that never came. */
  errors: v.array(v.string()),
  findingsSent: v.number(),
  findingsAcknowledged: v.number(),
  cpuPercent: v.number(),
  reportBytes: v.number(),
});
export type LoadResult = v.InferOutput<typeof LoadResult>;

export const STAGES = ["registered", "measuring", "measured"] as const;
export const LoadLine = v.variant("stage", [
  v.object({ stage: v.picklist(STAGES) }),
  v.object({ stage: v.literal("done"), result: LoadResult }),
]);
export type LoadLine = v.InferOutput<typeof LoadLine>;
export type Stage = (typeof STAGES)[number];

/** Runs one generator; `reached` is called at each stage. Throws if it ends without a result. */
export async function runLoad(
  order: LoadOrder,
  folder: string,
  reached: (stage: Stage) => void,
): Promise<LoadResult> {
  // Ten thousand tokens do not fit into an argument.
  const path = join(folder, "order.json");
  await Bun.write(path, JSON.stringify(order));
  const command = [process.execPath, join(import.meta.dir, "load-main.ts"), path];
  const child = openProcess(command, { output: "pipe" });
  try {
    if (!(child.stdout instanceof ReadableStream)) throw new Error("generator without output");
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const text of lines) {
        const line = v.parse(LoadLine, JSON.parse(text));
        if (line.stage === "done") return line.result;
        reached(line.stage);
      }
    }
    throw new Error(`the load generator ended with ${await child.exited} and no result`);
  } finally {
    await closeProcess(child);
  }
}
