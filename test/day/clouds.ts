/**
 * The two clouds of the day: Lambda's and Compute Engine's stand-ins behind the weather proxy, with
 * the product's own adapters, and what really exists there.
 *
 * Adapter: waits for real calls while the virtual clock stands.
 */
import { passAwake } from "../world/drive.ts";
import type { Process } from "../../simulator/engine/process.ts";
import { openLambda } from "../../reconciler/provider/lambda/lambda.ts";
import { openGcp } from "../../reconciler/provider/gcp/gcp.ts";
import { Tokens } from "../../reconciler/google/token.ts";
import { aroundProvider } from "../../reconciler/provider/around.ts";
import { openMemoryCloud } from "../../reconciler/provider/fake/memory.ts";
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import type { Instance, Provider } from "../../reconciler/core/provider.ts";
import type { VirtualClock } from "../../simulator/engine/clock.ts";
import { seeded } from "../../simulator/engine/random.ts";
import { serveGce } from "../fixture/cloud/gce-server.ts";
import { LAMBDA_KEY, PRICE_CENTS, serveLambda } from "../fixture/cloud/lambda-server.ts";
import { serveWeather, type WeatherProxy } from "./proxy.ts";

const MINUTE_MS = 60_000;
/** Lambda's H100 machines take minutes; Compute Engine's A2 machines boot faster. */
const BOOT_MS = { lambda: 5 * MINUTE_MS, gcp: 2 * MINUTE_MS };
export const LAMBDA_PRICE = PRICE_CENTS / 100;

export type Cloud = {
  proxy: WeatherProxy;
  provider: Provider;
  setFaults(faults: Faults): void;
  /** Everything that exists and is billed, whatever a list shows. */
  live(): Instance[];
  /** Purchases of one request that became two machines. */
  doubles(): number;
};
export type Clouds = {
  lambda: Cloud;
  gcp: Cloud;
  /** Until every call waits for the virtual clock, or none is left. */
  quiet(): Promise<void>;
  /** A call waits for its turn: it must be sent when that comes, and not when the clock stops. */
  isWaiting(): boolean;
  close(): Promise<void>;
};

export async function openClouds(clock: VirtualClock, fleetId: string): Promise<Clouds> {
  const busy = { calls: 0, waits: 0 };
  const own = waitingClock(clock, busy);
  const watched = (provider: Provider): Provider =>
    aroundProvider(provider, async (_call, next) => {
      busy.calls++;
      return next().finally(() => busy.calls--);
    });
  const lambda = openLambdaCloud(clock, own, fleetId, watched);
  const gcp = openGceCloud(clock, own, fleetId, watched);
  return {
    lambda: lambda.cloud,
    gcp: gcp.cloud,
    async quiet() {
      // A call either waits for the virtual clock or for a real socket.
      for (await clock.pass(0); busy.calls > busy.waits; await clock.pass(0)) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    isWaiting: () => busy.waits > 0,
    async close() {
      await Promise.all([lambda.close(), gcp.close()]);
    },
  };
}

/** Shorter than the time between two requests at Lambda. */
const WAITING_STEP_MS = 100;

/** Lets time pass for the control plane, in small steps while a call waits for its turn. */
export async function passBy(
  ms: number,
  { clock, clouds, process }: { clock: VirtualClock; clouds: Clouds; process: Process },
): Promise<void> {
  for (let left = ms; left > 0;) {
    const step = clouds.isWaiting() ? Math.min(left, WAITING_STEP_MS) : left;
    await passAwake(clock, step, process.reconciler);
    await clouds.quiet();
    left -= step;
  }
}

function waitingClock(clock: Clock, busy: { waits: number }): Clock {
  return {
    wallMs: () => clock.wallMs(),
    monoMs: () => clock.monoMs(),
    after(ms, work) {
      let isOpen = true;
      busy.waits++;
      const end = (): void => {
        if (isOpen) busy.waits--;
        isOpen = false;
      };
      const cancel = clock.after(ms, () => {
        end();
        work();
      });
      return () => {
        end();
        cancel();
      };
    },
  };
}

type Opened = { cloud: Cloud; close(): Promise<unknown> };
type Watch = (provider: Provider) => Provider;

function openLambdaCloud(clock: Clock, own: Clock, fleetId: string, watch: Watch): Opened {
  const cloud = openMemoryCloud({
    clock,
    random: seeded(7),
    fleetId,
    class: "tag-only",
    terms: { bootMs: BOOT_MS.lambda, terminateMs: MINUTE_MS, listLagMs: 5_000 },
  });
  const standIn = serveLambda(cloud);
  standIn.limits = { requestMs: 1_000, launchMs: 12_000, monoMs: () => clock.monoMs() };
  const proxy = serveWeather(standIn.url);
  const provider = openLambda({
    name: "lambda",
    key: LAMBDA_KEY,
    endpoint: proxy.url,
    settleMs: 10 * MINUTE_MS,
    requestMs: 1_100,
    launchMs: 12_100,
    fleetId,
    clock: own,
  });
  return {
    close: () => Promise.all([proxy.stop(), standIn.stop(), provider.close(), cloud.close()]),
    cloud: {
      proxy,
      provider: watch(provider),
      setFaults: (faults) => void cloud.setFaults(faults),
      live: () => {
        // Lets everything happen that is due.
        cloud.nextDueMs();
        return [...cloud.world().instances.values()]
          .map(({ instance }) => instance)
          .filter(({ state }) => state !== "terminated");
      },
      doubles: () => cloud.reality().doubles.length + cloud.reality().overlaps.length,
    },
  };
}

function openGceCloud(clock: Clock, own: Clock, fleetId: string, watch: Watch): Opened {
  const standIn = serveGce({ wallMs: () => clock.wallMs() });
  const { knobs } = standIn.cloud;
  Object.assign(knobs, { operationMs: 15_000, bootMs: BOOT_MS.gcp, endMs: MINUTE_MS });
  standIn.service.zones = ["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"];
  // Compute Engine's own rate limit for a project's calls of one kind, 1,500 a minute.
  standIn.perMinute = 1_500;
  const proxy = serveWeather(standIn.url);
  const provider = openGcp({
    name: "gcp",
    project: standIn.cloud.project,
    endpoint: `${proxy.url}/compute/v1`,
    iamEndpoint: `${proxy.url}/v3`,
    tokens: new Tokens(() => Promise.resolve({ token: "t", lastsMs: 3_600_000 }), own),
    requestMs: 100,
    waitMs: 30_000,
    image: "projects/debian-cloud/global/images/family/debian-12",
    network: null,
    subnet: null,
    diskGb: null,
    diskType: null,
    serviceAccount: null,
    externalIp: true,
    fleetId,
    clock: own,
  });
  return {
    close: () => Promise.all([proxy.stop(), standIn.stop(), provider.close()]),
    cloud: {
      proxy,
      provider: watch(provider),
      setFaults: (faults) => standIn.setFaults(faults),
      live: () => standIn.reality().live,
      doubles: () => standIn.reality().doubles.length + standIn.reality().overlaps.length,
    },
  };
}
