/** Compute Engine: the port's contract over its API, then what only this API does. */
import { afterEach } from "bun:test";
import { type GceServerOptions, serveGce } from "../../../test/fixture/cloud/gce-server.ts";
import { contractFleetId, providerContract } from "../../../test/port/provider.contract.ts";
import type { Place, Provider } from "../../core/provider.ts";
import { type GcpOptions, openGcp } from "./gcp.ts";
import { Tokens } from "./token.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

export function openTest(more: Partial<GcpOptions> = {}, server: Partial<GceServerOptions> = {}) {
  let nowMs = 1_000_000;
  const after = (ms: number, work: () => void) => {
    nowMs += ms;
    queueMicrotask(work);
    return () => undefined;
  };
  const clock = { wallMs: () => nowMs, monoMs: () => nowMs, after };
  const standIn = serveGce({ wallMs: () => nowMs, ...server });
  opened.push({ close: () => standIn.stop() });
  const provider = openGcp({
    name: "gcp",
    project: standIn.cloud.project,
    endpoint: standIn.endpoint,
    iamEndpoint: `${standIn.url}/v3`,
    tokens: new Tokens(() => Promise.resolve({ token: "t", lastsMs: 3_600_000 }), clock),
    requestMs: 0,
    waitMs: 30_000,
    image: "projects/debian-cloud/global/images/family/debian-12",
    network: null,
    subnet: null,
    diskGb: null,
    diskType: null,
    serviceAccount: null,
    externalIp: true,
    fleetId: contractFleetId,
    clock,
    ...more,
  });
  return { provider, standIn, clock, step: (ms: number) => void (nowMs += ms) };
}

/** The contract's requests name no zone, which only Compute Engine needs. */
export function inZone(provider: Provider, zone: string): Provider {
  const at = <T extends Place>(place: T): T => ({ ...place, zone: place.zone ?? zone });
  return {
    ...provider,
    create: (request, ...rest) => provider.create(at(request), ...rest),
    inspect: (places) => provider.inspect(places.map(at)),
  };
}

providerContract(
  "openGcp()",
  async () => {
    const { provider, standIn, step } = openTest();
    return {
      provider: inZone(provider, "r1-a"),
      step,
      setFaults: standIn.setFaults,
      reality: standIn.reality,
      close: () => Promise.resolve(),
      forgets: true,
      ignoresFences: true,
    };
  },
  ["name"],
);
