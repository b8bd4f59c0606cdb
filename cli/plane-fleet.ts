/**
 * The control plane of fleet tasks, by the flags and variables of every other command
 * (`NAVARCH_SERVER`, `NAVARCH_TOKEN`). It is opened by the first task that asks.
 */
import type { Fleet } from "../simulator/workflow/fleet.ts";
import { type Ask, openPlaneFleet } from "../simulator/workflow/plane-fleet.ts";
import type { Client } from "./client.ts";
import { connectGo } from "./connect.ts";
import type { Failure } from "./failure.ts";
import type { GoFlags } from "./go-flag.ts";
import type { World } from "./world.ts";

/** One request: a control plane that is alive answers within a second. */
const CALL_MS = 10_000;

/** `flags` were read with `CONNECT_FLAGS`. */
export function openFleet(world: World, flags: GoFlags): Fleet {
  let opened: Client | Failure | null = null;
  const client = (): Client | Failure => (opened ??= connectGo(world, flags, CALL_MS));
  const ask: Ask = {
    async call(method, path, body) {
      const at = client();
      if ("ok" in at) return failed(at);
      const sent =
        method === "GET"
          ? await at.get<unknown>(path, [])
          : await at.send<unknown>(method, path, [], { ...body });
      return sent.ok ? { ok: true, value: sent.value } : failed(sent);
    },
    async page(path) {
      const at = client();
      if ("ok" in at) return failed(at);
      const page = await at.page(path);
      if (!page.ok) return failed(page);
      if (page.status === 200) return { ok: true, value: page.body };
      const hint = page.status === 401 ? " (it has server.auth.metrics_auth; ask Prometheus)" : "";
      return { ok: false, message: `${at.address.url}${path}: HTTP ${page.status}${hint}` };
    },
  };
  return openPlaneFleet(ask);
}

const failed = ({ message }: Failure) => ({ ok: false as const, message });
