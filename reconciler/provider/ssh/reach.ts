/**
 * Tries to reach an owned machine: TCP, the SSH greeting and the host key. It ends before the
 * login, so nothing is changed on the machine and no private key is needed.
 *
 * Adapter: TCP sockets and timers.
 */
import { Client } from "ssh2";
import { formatKey, isPinned, signatureOrder } from "../../../bootstrap/ssh/host-key.ts";
import type { InventoryHost } from "../../core/inventory.ts";
import type { Inspection } from "../../core/provider.ts";

const TIMEOUT_MS = 10_000;

type Met = { key: Buffer } | { error: string };

/** One finding per host. A machine that is off is a failure of that machine only. */
export async function reachHost(host: InventoryHost): Promise<Inspection> {
  const check = `host ${host.name}`;
  const where = `${host.address}:${host.port ?? 22}`;
  const pinned = host.hostKeys.map((line) => line.split(/\s+/)[1] ?? "");
  const met = await meet(host, pinned);
  if ("error" in met) {
    const message = `${where}: ${met.error}: is it on, and does its sshd listen there?`;
    return { check, outcome: "fail", message };
  }
  const shown = formatKey(met.key);
  if (pinned.length === 0) {
    const message = `${where} answers with ${shown}, not in the inventory`;
    return { check, outcome: "ok", message };
  }
  if (isPinned(pinned, met.key)) return { check, outcome: "ok", message: `${where} has ${shown}` };
  const next = "another machine answers, or write its new key as host_key";
  return { check, outcome: "fail", message: `${where} has ${shown}, not its host_key: ${next}` };
}

function meet(host: InventoryHost, pinned: readonly string[]): Promise<Met> {
  return new Promise((resolve) => {
    const client = new Client();
    let key: Buffer | null = null;
    const settle = (met: Met): void => {
      clearTimeout(timer);
      client.destroy();
      resolve(met);
    };
    const end = (error: string): void => settle(key === null ? { error } : { key });
    const timer = setTimeout(() => end(`no answer within ${TIMEOUT_MS / 1_000} s`), TIMEOUT_MS);
    client.on("error", ({ message }) => end(message));
    client.on("close", () => end("closed during the handshake"));
    // Refusing the key ends the connection before any login.
    const hostVerifier = (offered: Buffer): boolean => {
      key = Buffer.from(offered);
      return false;
    };
    client.connect({
      host: host.address,
      port: host.port ?? 22,
      username: "navarch",
      readyTimeout: TIMEOUT_MS + 1_000,
      algorithms: { serverHostKey: signatureOrder(pinned) },
      hostVerifier,
    });
  });
}
