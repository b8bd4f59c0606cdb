/**
 * Starts and drives the load generator of the benches: agents that register once, then report at a
 * fixed rate during windows. It is a process of its own, so that its work is not counted as the
 * control plane's. Adapter: child process.
 */
import { join } from "node:path";
import * as v from "valibot";
import { amount, count } from "../../schema/number.ts";
import { closeProcess, linesOf, openProcess } from "./process.ts";

export const LoadOrder = v.object({
  url: v.string(),
  transport: v.picklist(["stream", "post"]),
  /** Interval between an agent's reports; agents are spread evenly over it. */
  everyMs: amount,
  /** One report in this many carries a full check. */
  checkEvery: count,
  /** One token per agent. */
  tokens: v.array(v.string()),
});
export type LoadOrder = v.InferOutput<typeof LoadOrder>;

/** Reports are sent for `forMs`; one in `findingEvery` carries a finding (`null` = none). */
export const LoadWindow = v.object({ forMs: amount, findingEvery: v.nullable(count) });
export type LoadWindow = v.InferOutput<typeof LoadWindow>;

export const LoadResult = v.object({
  /** Milliseconds from send to reply of every report in the window. */
  latencies: v.array(amount),
  /** The same without the replies that waited for the generator itself (`lateness.ts`). */
  undisturbed: v.array(amount),
  /** Milliseconds by which the generator itself was late to send. */
  lags: v.array(amount),
  sent: count,
  answered: count,
  /** Replies that were errors, and connections that broke, since the window before. */
  errors: v.array(v.string()),
  findingsSent: count,
  findingsAcknowledged: count,
  cpuPercent: amount,
  reportBytes: amount,
});
export type LoadResult = v.InferOutput<typeof LoadResult>;

export const LoadLine = v.variant("kind", [
  v.object({ kind: v.literal("registered"), ms: amount }),
  v.object({ kind: v.literal("window"), result: LoadResult }),
]);
export type LoadLine = v.InferOutput<typeof LoadLine>;

/** A generator whose agents have registered. Between two windows they are connected and silent. */
export class Load {
  /** Milliseconds until all agents had registered. */
  readonly registeredMs: number;
  private readonly child: ReturnType<typeof openProcess>;
  private readonly lines: AsyncGenerator<string>;

  private constructor(from: Pick<Load, "registeredMs"> & { child: Load["child"] }, lines: Lines) {
    this.child = from.child;
    this.lines = lines;
    this.registeredMs = from.registeredMs;
  }

  /** `before`: a command that runs the generator, such as `taskset -c 0`. */
  static async start(order: LoadOrder, folder: string, before: string[] = []): Promise<Load> {
    // On standard input: ten thousand tokens do not fit into an argument.
    const path = join(folder, "order.json");
    await Bun.write(path, JSON.stringify(order));
    const command = [...before, process.execPath, join(import.meta.dir, "load-main.ts"), path];
    const child = openProcess(command, { input: "pipe", output: "pipe" });
    try {
      if (!(child.stdout instanceof ReadableStream)) throw new Error("generator without output");
      const lines = linesOf(child.stdout);
      const line = await next(child, lines);
      if (line.kind !== "registered") throw new Error(`expected "registered", found ${line.kind}`);
      return new Load({ child, registeredMs: line.ms }, lines);
    } catch (error) {
      await closeProcess(child);
      throw error;
    }
  }

  async window(window: LoadWindow): Promise<LoadResult> {
    const { stdin } = this.child;
    if (stdin === undefined || typeof stdin === "number") throw new Error("no way to say it");
    void stdin.write(`${JSON.stringify(window)}\n`);
    void stdin.flush();
    const line = await next(this.child, this.lines);
    if (line.kind !== "window") throw new Error(`expected a window, found ${line.kind}`);
    return line.result;
  }

  async close(): Promise<void> {
    await closeProcess(this.child);
  }
}

type Lines = AsyncGenerator<string>;

async function next(child: Bun.Subprocess, lines: Lines): Promise<LoadLine> {
  const line = await lines.next();
  if (line.done !== true) return v.parse(LoadLine, JSON.parse(line.value));
  throw new Error(`the load generator ended with ${await child.exited} and no result`);
}
