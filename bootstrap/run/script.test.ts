/** The programs by each shell that a machine may have as /bin/sh. */
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { until } from "../../test/fixture/ssh/job-fake.ts";
import { CLAIM, PLACE, PUSH, RUN, STALE_CODE, STALE_WORD } from "./script.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-script-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SHELLS = ["dash", "bash", "busybox sh"].filter((shell) => {
  return Bun.which(shell.split(" ")[0] ?? "") !== null;
});

type End = { exitCode: number; out: string; err: string };

/** One machine's folder of an instance, and programs that run there. */
class Machine {
  readonly instance: string;
  private readonly words: readonly string[];

  constructor(shell: string, name: string) {
    this.words = shell.split(" ");
    this.instance = join(folder, `${this.words.join("-")} ${name}`);
  }

  /** `between`: called after half of `stdin` was sent. */
  async run(
    program: string,
    args: string[],
    stdin = "",
    between?: () => Promise<void>,
  ): Promise<End> {
    const line = [...this.words, "-c", program.trim(), "navarch", this.instance, ...args];
    const child = Bun.spawn(line, { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    const half = between === undefined ? stdin.length : Math.floor(stdin.length / 2);
    try {
      void child.stdin.write(stdin.slice(0, half));
      await child.stdin.flush();
      await between?.();
      void child.stdin.write(stdin.slice(half));
      await child.stdin.end();
    } catch (error) {
      // A program that refuses at once does not read, and may be gone before the first byte.
      if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
    }
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { exitCode: await child.exited, out, err };
  }

  async claim(epoch: number): Promise<string> {
    const { out } = await this.run(CLAIM, [String(epoch), "1", "f", "resume"]);
    return out.trim().replace(/^fence /, "");
  }

  /** As a newer claim that has not ended the old command yet. */
  outdate(): void {
    writeFileSync(join(this.instance, "fence"), "9 1 another\n");
  }

  /** `text` as command `00`; `bytes`: the length that is announced. */
  command(fence: string, text: string, bytes = text.length): Promise<End> {
    return this.run(RUN, [fence, "f", "00", "sh", String(bytes)], text);
  }
}

const listOf = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);
const isStale = ({ exitCode, err }: End): boolean =>
  exitCode === STALE_CODE && err.includes(STALE_WORD);

describe.each(SHELLS)("a machine whose fence is newer (%s)", (shell) => {
  test("starts no command of the older one", async () => {
    const machine = new Machine(shell, "older");
    const fence = await machine.claim(1);
    await machine.claim(2);
    const ran = join(folder, `${shell} ran`);
    expect(isStale(await machine.command(fence, `echo ran >'${ran}'\n`))).toBe(true);
    expect(existsSync(ran)).toBe(false);
  });

  test("does not mark a command as done that ended after the newer claim", async () => {
    const machine = new Machine(shell, "mark");
    const fence = await machine.claim(1);
    const text = `echo '9 1 another' >'${machine.instance}/fence'\n`;
    expect(isStale(await machine.command(fence, text))).toBe(true);
    expect(readdirSync(join(machine.instance, "f"))).toEqual([]);
  });

  test("takes no file of the older one, nor one that was on its way", async () => {
    const machine = new Machine(shell, "file");
    const fence = await machine.claim(1);
    const target = join(folder, `${shell} placed`, "token");
    const text = "nvn.secret\n";
    const sha = createHash("sha256").update(text).digest("hex");
    const place = [fence, target, "600", String(text.length)];
    const push = [fence, target, sha, "cat"];
    for (const [program, args] of [
      [PLACE, place],
      [PUSH, push],
    ] as const) {
      await machine.claim(1);
      writeFileSync(join(machine.instance, "fence"), `${fence}\n`);
      const late = await machine.run(program, [...args], text, async () => {
        await until("the first half is read", () => listOf(dirname(target)).length === 1);
        machine.outdate();
      });
      expect(isStale(late)).toBe(true);
      expect(isStale(await machine.run(program, [...args], text))).toBe(true);
      expect(listOf(dirname(target))).toEqual([]);
    }
  });
});

test.each(SHELLS)("what arrived in part is no command, file or program (%s)", async (shell) => {
  const machine = new Machine(shell, "part");
  const fence = await machine.claim(1);
  const [text, target] = ["echo whole\n", join(folder, `${shell} arrived`, "file")];
  expect(await machine.command(fence, text.slice(0, 4), text.length)).toMatchObject({
    exitCode: 1,
    err: "the command did not arrive whole\n",
  });
  const place = [fence, target, "600", String(text.length)];
  expect((await machine.run(PLACE, place, text.slice(0, 4))).err).toBe("it did not arrive whole\n");
  const sha = createHash("sha256").update(text).digest("hex");
  const pushed = await machine.run(PUSH, [fence, target, sha, "cat"], text.slice(0, 4));
  expect(pushed).toMatchObject({ exitCode: 1, err: expect.stringContaining(`expected ${sha}`) });
  expect(readdirSync(join(folder, `${shell} arrived`))).toEqual([]);
  expect((await machine.run(PLACE, place, text)).exitCode).toBe(0);
  expect(readFileSync(target, "utf8")).toBe(text);
});

test.each(SHELLS)("RUN says of a killed command what that said itself (%s)", async (shell) => {
  const machine = new Machine(shell, "i");
  const fence = await machine.claim(1);
  const { exitCode, err } = await machine.command(fence, "echo out of memory >&2; kill -9 $$\n");
  expect({ exitCode, err }).toEqual({ exitCode: 137, err: "out of memory\n" });
});
