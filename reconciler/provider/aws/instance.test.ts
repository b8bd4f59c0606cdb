/** What is read of an instance and of spot prices, and what ends with a machine. */
import { afterEach, expect, test } from "bun:test";
import { contractFleetId, contractRequest } from "../../../test/port/provider.contract.ts";
import { REAL_CLOCK } from "../../kubernetes/connect.ts";
import { formOf } from "./api.ts";
import { openAws } from "./aws.ts";
import { instanceOf } from "./instance.ts";
import { launchParams } from "./launch.ts";
import { readAwsSettings } from "./setting.ts";
import { parseXml } from "./xml.ts";

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

const item = (id: string, more: string) => `<item><instanceId>${id}</instanceId>${more}</item>`;
const state = (name: string) => `<instanceState><name>${name}</name></instanceState>`;

test.each([
  ["running", "running"],
  ["shutting-down", "terminating"],
  ["terminated", "terminated"],
  ["stopped", "stopped"],
  // A machine that is forgotten by mistake is billed for ever.
  ["hibernating", "running"],
  ["", "running"],
])("an instance that EC2 calls %p is %s", (name, expected) => {
  const xml = parseXml(item("i-1", state(name)));
  expect(xml === null ? null : instanceOf(xml, "us-east-1")?.state).toBe(expected as never);
});

test("every disk and interface of a machine ends with it", () => {
  const given = {
    region: "us-east-1",
    image: "ami-1",
    diskGb: 9,
    efaInterfaces: 2,
    subnet: "subnet-1",
  };
  const aws = readAwsSettings(given, { HOME: "/nonexistent" });
  if (typeof aws === "string") throw new Error(aws);
  const facts = { rootDevice: "/dev/sda1", isCapacityBlock: false };
  const params = launchParams(contractRequest("n"), aws.launch, facts);
  if (typeof params === "string") throw new Error(params);
  const form = [...new URLSearchParams(formOf(params))];
  const ends = form.filter(([key]) => key.endsWith("DeleteOnTermination"));
  expect(ends.map(([, value]) => value)).toEqual(["true", "true", "true"]);
});

/** EC2 with two spot machines in two zones, and a price for each zone. */
function serveSpot(): string {
  const tags = `<tagSet><item><key>navarch-fleet</key><value>${contractFleetId}</value></item></tagSet>`;
  const spot = (id: string, zone: string) =>
    item(
      id,
      `${state("running")}<instanceType>p5</instanceType><instanceLifecycle>spot</instanceLifecycle>` +
        `<placement><availabilityZone>${zone}</availabilityZone></placement>${tags}`,
    );
  const price = (zone: string, dollars: string) =>
    `<item><instanceType>p5</instanceType><availabilityZone>${zone}</availabilityZone>` +
    `<spotPrice>${dollars}</spotPrice><timestamp>2026-01-01T00:00:00Z</timestamp></item>`;
  const replies: Record<string, string> = {
    DescribeInstances:
      "<reservationSet><item><ownerId>1</ownerId><instancesSet>" +
      `${spot("i-a", "us-east-1a")}${spot("i-b", "us-east-1b")}${spot("i-c", "us-east-1c")}` +
      "</instancesSet></item></reservationSet>",
    DescribeSpotPriceHistory: `<spotPriceHistorySet>${price("us-east-1a", "11")}${price("us-east-1b", "22")}</spotPriceHistorySet>`,
    DescribeInstanceStatus: "<instanceStatusSet/>",
  };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const action = new URLSearchParams(await request.text()).get("Action") ?? "";
      return new Response(`<${action}Response>${replies[action] ?? ""}</${action}Response>`);
    },
  });
  stops.push(() => void server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

test("a spot machine has the price of its own zone, and none where that is not told", async () => {
  const endpoint = serveSpot();
  const env = { HOME: "/nonexistent", AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s" };
  const aws = readAwsSettings({ region: "us-east-1", image: "ami-1", endpoint }, env);
  if (typeof aws === "string") throw new Error(aws);
  const provider = openAws({ ...aws, name: "aws", fleetId: contractFleetId, clock: REAL_CLOCK });
  const answer = await provider.list();
  if (answer.kind !== "ok") throw new Error(answer.message);
  const prices = answer.instances.map(({ id, pricePerHour }) => [String(id), pricePerHour]);
  expect(prices).toEqual([
    ["i-a", 11],
    ["i-b", 22],
    ["i-c", null],
  ]);
});
