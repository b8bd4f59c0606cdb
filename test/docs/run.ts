/**
 * Runs the blocks of one page in one shell that stops at the first failure, in a copy of the
 * repository, with a home and a working folder of its own. Three things differ from what a reader
 * does: packages are installed already, so `npm install` only says so; `/tmp/navarch` and ports
 * from 50051 to 50069 stand for a folder and ports that are free; and the programs of a throw-away
 * cluster come from where they were built before.
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

const PORT = /\b500[56]\d\b/g;

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
  const ports = new Map<string, number>();
  const portOf = (named: string): number => {
    const port = ports.get(named) ?? freePort();
    ports.set(named, port);
    return port;
  };
  const kubectl = findBinary("kubectl");
  const folders = kubectl === null ? [] : [dirname(kubectl)];
  const script = blocks
    .map(({ text, line }) => `echo "--- line ${line}"\n${text}`)
    .join("")
    .replaceAll("/tmp/navarch", folder)
    .replace(PORT, (named) => String(portOf(named)));
  const process = Bun.spawn(["bash", "-euo", "pipefail", "-c", `${NPM}${script}`], {
    cwd: repository,
    env: {
      PATH: [join(repository, "dist"), ...folders, Bun.env["PATH"] ?? ""].join(":"),
      HOME: home,
      // The programs of a throw-away cluster are built once, not for each page.
      XDG_CACHE_HOME: dirname(cacheRoot()),
      NAVARCH_SERVER: `http://127.0.0.1:${portOf("50051")}`,
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
