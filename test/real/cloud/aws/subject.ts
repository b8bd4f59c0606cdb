/** An `aws` provider under test: adapter, proxy and moto, in virtual time. */
import { whyNoMoto, startMoto, type Moto } from "./moto.ts";
import { EC2_KEY, EC2_SECRET, Ec2Proxy } from "./proxy.ts";
import type {
  CreateRequest,
  Instance,
  Place,
  Provider,
} from "../../../../reconciler/core/provider.ts";
import { type AwsOptions, openAws } from "../../../../reconciler/provider/aws/aws.ts";
import { contractFleetId } from "../../../port/provider.contract.ts";

/** One of those that moto knows. */
export const IMAGE = "ami-9b32e8e2";
/** Of the virtual clock: botocore signs no year before 2000. */
export const START_MS = Date.UTC(2026, 10, 23);

const FREE = { perSecond: 1_000, burst: 1_000 };

/** Skips loudly at a desk; with `CI=true` what is missing is a failure. */
export async function openMoto(): Promise<Moto | null> {
  const why = await whyNoMoto();
  if (why === null) return startMoto();
  if (process.env["CI"] === "true") throw new Error(why);
  process.stderr.write(`aws: skipped: ${why}\n`);
  return null;
}

export function awsOptions(endpoint: string, clock: AwsOptions["clock"]): AwsOptions {
  const env = { AWS_ACCESS_KEY_ID: EC2_KEY, AWS_SECRET_ACCESS_KEY: EC2_SECRET };
  const from = { env, home: "/nonexistent", profile: null, file: null };
  return {
    name: "aws",
    endpoint,
    quotaEndpoint: endpoint,
    region: "us-east-1",
    credentials: { ...from, region: "us-east-1" },
    fleetId: contractFleetId,
    settleMs: 300_000,
    rates: { launch: FREE, end: FREE, read: FREE },
    launch: {
      image: IMAGE,
      subnets: [],
      securityGroups: [],
      instanceProfile: null,
      diskGb: null,
      externalIp: null,
      efaInterfaces: 0,
      userData: null,
    },
    launchWith: () => "no pool sets anything here",
    clock,
  };
}

export type Subject = {
  provider: Provider;
  proxy: Ec2Proxy;
  step(ms: number): Promise<void>;
  /** Fails with what moto and botocore have against the test's calls. */
  close(): Promise<void>;
};

export type Change = (options: AwsOptions) => Partial<AwsOptions> | Promise<Partial<AwsOptions>>;

export async function openSubject(moto: Moto, change: Change = () => ({})): Promise<Subject> {
  await moto.reset();
  let nowMs = START_MS;
  const clock = { wallMs: () => nowMs, monoMs: () => nowMs, after: () => () => undefined };
  const proxy = new Ec2Proxy(moto, clock.wallMs);
  const options = awsOptions(proxy.url, clock);
  return {
    provider: openAws({ ...options, ...(await change(options)) }),
    proxy,
    async step(ms) {
      nowMs += ms;
      await proxy.land();
    },
    async close() {
      const problems = await proxy.audit();
      await proxy.stop();
      if (problems.length > 0) throw new Error(problems.join("\n"));
    },
  };
}

const THERE = new Map([
  ["r1", "us-east-1"],
  ["r2", "us-west-2"],
  ["h100x8", "p5.48xlarge"],
  ["a100x8", "p4d.24xlarge"],
]);
const HERE = new Map([...THERE].map(([here, there]) => [there, here]));

/** The provider under the contract's names of regions and types, which moto would refuse. */
export function underContractNames(provider: Provider): Provider {
  const named = <T extends { region: string | null; instanceType: string }>(
    one: T,
    names: ReadonlyMap<string, string>,
  ): T => ({
    ...one,
    region: one.region === null ? null : (names.get(one.region) ?? one.region),
    instanceType: names.get(one.instanceType) ?? one.instanceType,
  });
  const there = (place: Place) => named(place, THERE);
  return {
    ...provider,
    async create(request, fence, credential) {
      const asked: CreateRequest = named(request, THERE);
      const answer = await provider.create(asked, fence, credential);
      return answer.kind === "ok"
        ? { ...answer, instance: named<Instance>(answer.instance, HERE) }
        : answer;
    },
    async list() {
      const answer = await provider.list();
      if (answer.kind !== "ok") return answer;
      return { ...answer, instances: answer.instances.map((one) => named(one, HERE)) };
    },
    async offers(places) {
      const answer = await provider.offers(places.map(there));
      if (answer.kind !== "ok") return answer;
      return { ...answer, offers: answer.offers.map((one) => named(one, HERE)) };
    },
    quota: (places) => provider.quota(places.map(there)),
    inspect: (places) => provider.inspect(places.map(there)),
  };
}
