/**
 * Runs the blocks of one page in one shell that stops at the first failure, in a copy of the
 * repository, with a home and a working folder of its own. Two things differ from what a reader
 * does: packages are installed already, so `npm install` only says so, and `/tmp/navarch` and port
 * 50051 stand for a folder and a port that are free.
 *
 * Adapter: files, processes, a port.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cacheRoot, findBinary } from "../real/kubernetes/binary.ts";
import { blocksOf, sectionOf } from "./block.ts";

/** A page with this line goes on where the fleet of getting-started serves. */
const CONTINUES = /^Continues \[getting started\]/m;
const FLEET = "## 2. A pool of your own";

const NPM = 'npm() { if [ "$1" = install ]; then echo installed; else command npm "$@"; fi; }\n';

export async function runPage(
  repository: string,
  path: string,
): Promise<{ code: number; output: string }> {
  const page = readFileSync(join(repository, path), "utf8");
  const start = readFileSync(join(repository, "docs/getting-started.md"), "utf8");
  const fleet = CONTINUES.test(page) ? blocksOf(sectionOf(start, FLEET)) : [];
  const blocks = [...fleet, ...blocksOf(page)].filter(({ notRun }) => notRun === null);
  const home = mkdtempSync(join(tmpdir(), "navarch-page-"));
  const folder = join(home, "work");
  mkdirSync(folder);
  const port = freePort();
  const kubectl = findBinary("kubectl");
  const folders = kubectl === null ? [] : [dirname(kubectl)];
  const script = blocks
    .map(({ text, line }) => `echo "--- line ${line}"\n${text}`)
    .join("")
    .replaceAll("/tmp/navarch", folder)
    .replaceAll("50051", String(port));
  const process = Bun.spawn(["bash", "-euo", "pipefail", "-c", `${NPM}${script}`], {
    cwd: repository,
    env: {
      PATH: [join(repository, "dist"), ...folders, Bun.env["PATH"] ?? ""].join(":"),
      HOME: home,
      // The programs of a throw-away cluster are built once, not for each page.
      XDG_CACHE_HOME: dirname(cacheRoot()),
      NAVARCH_SERVER: `http://127.0.0.1:${port}`,
    },
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  try {
    const [out, err, code] = await Promise.all([
      readAll(process.stdout),
      readAll(process.stderr),
      process.exited,
    ]);
    return { code, output: `${out}\n${err}` };
  } finally {
    endAll(process.pid, folder);
    rmSync(home, { recursive: true, force: true });
  }
}

const readAll = (stream: ReadableStream): Promise<string> => new Response(stream).text();

/** The page's own processes: its group, and the simulated machines, which leave it. */
function endAll(group: number, folder: string): void {
  const pids = [...new Bun.Glob("**/state*/cloud/*/instance/*/pid").scanSync({ cwd: folder })]
    .map((path) => Number(readFileSync(join(folder, path), "utf8")))
    .filter((pid) => pid > 1);
  for (const pid of [-group, ...pids]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

function freePort(): number {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: () => undefined },
  });
  const { port } = server;
  server.stop(true);
  return port;
}
