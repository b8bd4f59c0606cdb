/**
 * A helper process that is asked and answers: one line of JSON each way, one answer an order. The
 * generator and the observer are processes of their own, so that neither their work nor their
 * delays are counted as the product's. Adapter: child process.
 */
import type { FileSink } from "bun";
import { cleanEnv } from "../../fixture/plane/plane.ts";
import { closeProcess } from "../process.ts";

export class Talker {
  readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly waiting: { resolve: (text: string) => void; reject: (why: Error) => void }[] =
    [];

  /** `entry` is run by this Bun; `argument` is its only one. */
  constructor(entry: string, argument: string) {
    this.child = Bun.spawn([process.execPath, entry, argument], {
      env: cleanEnv(),
      stdio: ["pipe", "pipe", "inherit"],
    });
    void this.listen(entry);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** The answer; the two sides agree on its shape. Rejects if the process ends first. */
  async ask<T>(order: object): Promise<T> {
    const answer = Promise.withResolvers<string>();
    this.waiting.push(answer);
    const input: FileSink = this.child.stdin;
    void input.write(`${JSON.stringify(order)}\n`);
    await input.flush();
    return JSON.parse(await answer.promise) as T;
  }

  close(): Promise<void> {
    return closeProcess(this.child);
  }

  private async listen(entry: string): Promise<void> {
    for await (const line of linesOf(this.child.stdout)) this.waiting.shift()?.resolve(line);
    const code = await this.child.exited;
    for (const { reject } of this.waiting) reject(new Error(`${entry} ended with ${code}`));
  }
}

export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line;
  }
}

/** The other side: answers each order of the standard input, in order, until that ends. */
export async function answerOrders(answer: (order: unknown) => Promise<object>): Promise<void> {
  for await (const line of linesOf(Bun.stdin.stream())) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
  }
}

/** Wall milliseconds with a fraction: one host, so audit log, product and this share a clock. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
