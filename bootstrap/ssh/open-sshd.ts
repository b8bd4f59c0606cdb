/**
 * OpenSSH's own server on loopback for tests, as the current user, with keys and a configuration of
 * its own; and a wire in front of it that can be cut and frozen, which is how networks fail.
 *
 * Adapter: files in a temporary folder, one child process, sockets on loopback.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeKey, publicBlob } from "./peer.ts";

export const SSHD_PATH = "/usr/sbin/sshd";

export type Sshd = {
  port: number;
  user: string;
  /** Base64 of the wire form. */
  hostKey: string;
  /** The host key as a line of known_hosts, without names. */
  hostKeyLine: string;
  folder: string;
  close(): Promise<void>;
};

export async function openSshd(userKeys: readonly string[]): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "navarch-sshd-"));
  const host = makeKey();
  writeFileSync(join(folder, "host_key"), host.private, { mode: 0o600 });
  writeFileSync(join(folder, "authorized_keys"), `${userKeys.join("\n")}\n`, { mode: 0o600 });
  const port = await freePort();
  const lines = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${join(folder, "host_key")}`,
    `AuthorizedKeysFile ${join(folder, "authorized_keys")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin prohibit-password",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "UseDNS no",
  ];
  writeFileSync(join(folder, "sshd_config"), `${lines.join("\n")}\n`);
  // As root sshd insists on its empty folder, which a package's unit would make.
  if (process.getuid?.() === 0 && !existsSync("/run/sshd")) mkdirSync("/run/sshd", { mode: 0o755 });
  const child = spawn(SSHD_PATH, ["-D", "-e", "-f", join(folder, "sshd_config")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  await listening(child);
  return {
    port,
    // Without USER in the environment the runtime answers `unknown`.
    user: spawnSync("id", ["-un"]).stdout.toString().trim(),
    hostKey: publicBlob(host.private),
    hostKeyLine: host.public.split(" ").slice(0, 2).join(" "),
    folder,
    close: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

function listening(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("Server listening")) resolve();
    });
    child.once("exit", () => reject(new Error(`sshd ended: ${said}`)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : null;
      server.close(() => (port === null ? reject(new Error("no free port")) : resolve(port)));
    });
  });
}

export type Wire = {
  port: number;
  /** Ends every connection, without a goodbye of SSH's. */
  cut(): void;
  /** From now on nothing passes, and nobody is told. */
  freeze(): void;
  /** Bytes towards the server so far. */
  sentBytes(): number;
  close(): void;
};

export async function openWire(target: number): Promise<Wire> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let sent = 0;
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    const pair = [near, far] as const;
    pairs.add(pair);
    near.on("data", (chunk) => (sent += chunk.length));
    near.pipe(far).pipe(near);
    for (const socket of pair) {
      socket.on("error", () => undefined);
      socket.on("close", () => pairs.delete(pair));
    }
  });
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    }),
  );
  const cut = () => {
    for (const [near, far] of pairs) {
      near.destroy();
      far.destroy();
    }
  };
  return {
    port,
    cut,
    freeze: () => {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        far.pause();
      }
    },
    sentBytes: () => sent,
    close: () => {
      cut();
      server.close();
    },
  };
}
