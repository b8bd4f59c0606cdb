/**
 * A control plane of its own for one bench: a process with an empty state folder on a free port of
 * the loopback. The compiled binary if there is one, else the same entry from source.
 * Adapter: child processes, files, network.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { closeProcess, openProcess, waitFor } from "./process.ts";

const ROOT = dirname(dirname(import.meta.dir));

/** The words that start a product: `dist/navarch`, or Bun with its entry. */
export function commandOf(product: "navarch" | "navarch-node", dist: string): string[] {
  const binary = join(dist, product);
  if (existsSync(binary)) return [binary];
  const entry = product === "navarch" ? "cli/main.ts" : "agent/main.ts";
  return [process.execPath, join(ROOT, entry)];
}

/** A folder for one run, and how to take it away again. */
export function openFolder(): { path: string; close(): void } {
  const path = mkdtempSync(join(tmpdir(), "navarch-bench-"));
  return { path, close: () => rmSync(path, { recursive: true, force: true }) };
}

const Identity = v.object({ secret: v.string() });
const NodeSeen = v.object({
  phase: v.string(),
  session_id: v.nullable(v.string()),
  gpus: v.array(v.object({ pci_bus_id: v.string() })),
});
export type NodeSeen = v.InferOutput<typeof NodeSeen>;

export type Plane = {
  url: string;
  pid: number;
  /** The credential that a provider would have given that node's machine. */
  tokenOf(node: string): string;
  /** A page for an administrator, read whole. */
  read(path: string): Promise<{ status: number; bytes: number }>;
  /** The node as `GET /v1/nodes/:id` shows it, `null` while it is not known. */
  readNode(node: string): Promise<NodeSeen | null>;
  close(): Promise<void>;
};

/**
 * `server` are lines of the configuration's `server:` block, such as a cadence. There is no pool:
 * agents that nobody asked for are watched and judged like any other. Throws if it does not listen
 * within seconds.
 */
export async function openPlane(dist: string, server: readonly string[] = []): Promise<Plane> {
  const folder = openFolder();
  const portFile = join(folder.path, "port");
  const config = join(folder.path, "config.yaml");
  const lines = ["server:", '  address: "127.0.0.1:0"', ...server.map((line) => `  ${line}`)];
  writeFileSync(config, `${lines.join("\n")}\n`);
  const words = [...commandOf("navarch", dist), "control-plane", "--config", config];
  const flags = ["--state", folder.path, "--test-port-file", portFile, "--log-level", "error"];
  const child = openProcess([...words, ...flags]);
  const close = async (): Promise<void> => {
    await closeProcess(child);
    folder.close();
  };
  try {
    const port = await waitFor("the control plane's port", 15_000, () => {
      if (child.exitCode !== null) throw new Error(`control plane ended with ${child.exitCode}`);
      return existsSync(portFile) ? Number(readFileSync(portFile, "utf8")) || null : null;
    });
    const url = `http://127.0.0.1:${port}`;
    const read = (name: string): string => readFileSync(join(folder.path, name), "utf8").trim();
    const { secret } = v.parse(Identity, JSON.parse(read("identity.json")));
    const headers = { authorization: `Bearer ${read("admin.token")}` };
    return {
      url,
      pid: child.pid,
      tokenOf: (node) => nodeToken(secret, node),
      async read(path) {
        const response = await fetch(`${url}${path}`, { headers });
        return { status: response.status, bytes: (await response.arrayBuffer()).byteLength };
      },
      async readNode(node) {
        const response = await fetch(`${url}/v1/nodes/${encodeURIComponent(node)}`, { headers });
        const body: unknown = await response.json();
        return response.ok ? v.parse(NodeSeen, body) : null;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
