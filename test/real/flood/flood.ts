/**
 * One flood of the kernel log with one XID in it, and whether an agent on this machine found that.
 * The ring is the whole machine's, so every flood has an address of its own.
 * Adapter: child processes, /proc, HTTP.
 */
import { join } from "node:path";
import { openProcess, readCpuMs, readMemory, treeOf } from "../../bench/process.ts";

/** A row of the comparison; `stopMs` is how long the agent is stopped, a second after the start. */
export type Row = { name: string; rate: number; seconds: number; xidAtMs: number; stopMs: number };

export const ROWS: readonly Row[] = [
  { name: "9,000 lines/s for 4 s", rate: 9_000, seconds: 4, xidAtMs: 2_000, stopMs: 0 },
  {
    name: "3,000 lines/s for 9 s, stopped for 1 s",
    rate: 3_000,
    seconds: 9,
    // Two and a half seconds after it goes on.
    xidAtMs: 4_500,
    stopMs: 1_000,
  },
];

/** Rare, known to every catalogue, and no reason to act. */
export const CODE = 121;

export type Subject = {
  name: string;
  pid: number;
  /** XIDs of that code and address that it has found so far. */
  found(address: string): Promise<number>;
  /** Records that it says it lost, `null` if it does not say. */
  lost(): Promise<number | null>;
};

export type Outcome = {
  found: boolean;
  /** From the write to the first answer that has it; asked every 5 ms. */
  latencyMs: number | null;
  lost: number | null;
  written: number;
  cpuMs: number;
  pssMib: number;
};

const STOP_AFTER_MS = 1_000;
/** What is not found by then is not found. */
const WAIT_MS = 5_000;

const hex = (below: number, digits: number) =>
  Math.floor(Math.random() * below)
    .toString(16)
    .padStart(digits, "0");

/** A domain that no machine has. */
export function pickAddress(): string {
  return `e${hex(0xfff, 3)}:${hex(256, 2)}:${hex(32, 2)}`;
}

async function stopFor(pid: number, ms: number): Promise<void> {
  await Bun.sleep(STOP_AFTER_MS);
  process.kill(pid, "SIGSTOP");
  try {
    await Bun.sleep(ms);
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

export async function flood(subject: Subject, row: Row): Promise<Outcome> {
  const address = pickAddress();
  const line = `<4>NVRM: Xid (PCI:${address}): ${CODE}, pid=1, name=flood, C2C`;
  const before = await subject.found(address);
  const lostBefore = await subject.lost();
  const cpuBefore = readCpuMs(treeOf(subject.pid));
  const words = [row.rate, row.seconds, row.xidAtMs, line].map(String);
  const script = join(import.meta.dir, "writer.ts");
  const writer = Bun.spawn([process.execPath, "run", script, ...words], { stdout: "pipe" });
  const stopped = row.stopMs > 0 ? stopFor(subject.pid, row.stopMs) : Promise.resolve();
  let atMs: number | null = null;
  let over = false;
  const watch = async () => {
    while (atMs === null && !over) {
      if ((await subject.found(address)) > before) atMs = Date.now();
      else await Bun.sleep(5);
    }
  };
  // Asking a stopped agent would wait for it; the XID comes later anyway.
  const watching = stopped.then(watch);
  const told = JSON.parse(await new Response(writer.stdout).text()) as {
    written: number;
    wroteAtMs: number;
  };
  const deadline = performance.now() + WAIT_MS;
  while (atMs === null && performance.now() < deadline) await Bun.sleep(10);
  over = true;
  await watching;
  const lost = await subject.lost();
  const tree = treeOf(subject.pid);
  return {
    found: atMs !== null,
    latencyMs: atMs === null ? null : Math.max(0, atMs - told.wroteAtMs),
    lost: lost === null ? null : lost - (lostBefore ?? 0),
    written: told.written,
    cpuMs: readCpuMs(tree) - cpuBefore,
    pssMib: readMemory(tree).pss,
  };
}

/** The value of one series of a metrics page, by the start of its line; 0 if it is not there. */
export function readSeries(page: string, start: string): number {
  const line = page.split("\n").find((one) => one.startsWith(start));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1));
}

/**
 * Another agent that serves metrics, from a command in which `{port}` stands for where it shall
 * listen. It is asked for its count of XIDs of this code, whatever the address.
 */
export async function openPeer(
  command: string,
  port: number,
): Promise<Subject & { close(): void }> {
  const words = command.replaceAll("{port}", String(port)).split(" ");
  const child = openProcess(words, { env: { PATH: process.env["PATH"] ?? "" } });
  const page = async () => {
    const url = `https://127.0.0.1:${port}/metrics`;
    const answer = await fetch(url, { tls: { rejectUnauthorized: false } });
    return await answer.text();
  };
  const until = performance.now() + 30_000;
  for (;;) {
    const up = await page().then(
      () => true,
      () => false,
    );
    if (up) break;
    if (performance.now() > until) throw new Error(`the peer does not serve ${port}`);
    await Bun.sleep(200);
  }
  return {
    name: "peer",
    pid: child.pid,
    found: async () => {
      const lines = (await page()).split("\n").filter((one) => {
        return one.startsWith("accelerator_nvidia_xid_errors_total") && one.includes(`"${CODE}"`);
      });
      return lines.reduce((sum, one) => sum + Number(one.slice(one.lastIndexOf(" ") + 1)), 0);
    },
    lost: () => Promise.resolve(null),
    close: () => void child.kill("SIGKILL"),
  };
}
