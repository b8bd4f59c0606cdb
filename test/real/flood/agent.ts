/**
 * Our agent as a subject of a flood: the compiled binary with eight GPUs of the stand-in library,
 * at the cadence of production, reporting to a control plane reduced to the wire.
 * Adapter: child processes, sockets, HTTP.
 */
import { scratch, startAgent } from "../../agent/binary.ts";
import { StubControlPlane } from "../../agent/control-plane.ts";
import { waitFor } from "../../bench/process.ts";
import { openNvmlWorld } from "../../fixture/nvml/state.ts";
import { CODE, readSeries, type Subject } from "./flood.ts";

export async function openOurs(library: string): Promise<Subject & { close(): Promise<void> }> {
  const plane = new StubControlPlane().start();
  const free = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const metrics = `127.0.0.1:${free.port}`;
  await free.stop(true);
  const { env } = openNvmlWorld(scratch(), { count: 8 });
  const flags = ["--server", `http://${plane.base}`, "--node-id", "flood", "--spool", scratch()];
  const parts = ["--nvml-path", library, "--metrics-addr", metrics, "--log-level", "error"];
  // The library's own book-keeping is left out: it writes a file at every call.
  const state = { FAKE_NVML_STATE: env["FAKE_NVML_STATE"] ?? "" };
  const running = startAgent([...flags, ...parts], {
    env: { NAVARCH_NVML_ENV: "FAKE_NVML_STATE", ...state },
  });
  const page = async () => await (await fetch(`http://${metrics}/metrics`)).text();
  await waitFor("the agent to have read the log", 30_000, async () => {
    const text = await page().catch(() => "");
    return readSeries(text, "navarch_agent_kmsg_records_total") > 0 ? true : null;
  });
  return {
    name: "navarch-node",
    pid: running.pid,
    found: (address) => {
      const pci = `${address}.0`;
      const mine = plane.findings.filter((one) => one.code === CODE && one.pci === pci);
      return Promise.resolve(mine.length);
    },
    lost: async () => readSeries(await page(), "navarch_agent_kmsg_gaps_total"),
    close: async () => {
      running.signal("SIGTERM");
      await running.exited;
      await plane.stop();
    },
  };
}
