/** A purchase as parameters of RunInstances (docs/reference/aws.md#purchase). Pure. */
import type { MachineSettings } from "../../../schema/purchase.ts";
import { machinePart } from "../../core/machine-setting.ts";
import type { CreateRequest, Place } from "../../core/provider.ts";
import type { Param, Params } from "./api.ts";

export const NO_IMAGE = "image: set it to the id of a machine image, ami-…";

/** What every machine of the provider gets, or of a pool that sets its own. */
export type LaunchSettings = {
  /** `null` = refused. */
  image: string | null;
  /** `zone: null`: for every zone. */
  subnets: readonly { zone: string | null; id: string }[];
  securityGroups: readonly string[];
  /** Name or ARN. */
  instanceProfile: string | null;
  diskGb: number | null;
  /** `null` = as the subnet says. */
  externalIp: boolean | null;
  /** Number of EFA interfaces; 0 = an ordinary one. */
  efaInterfaces: number;
  userData: string | null;
};

export type Launching = {
  launch: LaunchSettings;
  /** With what a pool sets; a text says why that cannot be used. */
  launchWith(own: MachineSettings): LaunchSettings | string;
};

/** As the provider has it, or as the pool sets it. */
export function launchOf(
  { settings }: Pick<Place, "settings">,
  { launch, launchWith }: Launching,
): LaunchSettings | string {
  const own = machinePart(settings);
  return own === undefined ? launch : launchWith(own);
}

/** What the cloud had to be asked for. */
export type LaunchFacts = { rootDevice: string | null; isCapacityBlock: boolean };

const TAGS_MAX = 50;
const TAG_KEY_MAX = 127;
const TAG_VALUE_MAX = 256;

/** A text says what is wrong. Neither time nor chance is in it: a repeat sends the same. */
export function launchParams(
  request: CreateRequest,
  settings: LaunchSettings,
  facts: LaunchFacts,
): Params | string {
  const { zone, instanceType, sshKeys, token } = request;
  const [key, ...more] = sshKeys;
  if (more.length > 0) return "EC2 takes one ssh_keys entry, the name of a key pair";
  // Without its id EC2 would sell an ordinary machine.
  if (request.market === "reserved" && request.reservation === null) {
    return "market: reserved needs reservation, the id of a capacity reservation (cr-…)";
  }
  const subnet = subnetFor(zone, settings.subnets);
  if (subnet !== null && "why" in subnet) return subnet.why;
  const { image, diskGb, instanceProfile, userData, securityGroups } = settings;
  if (image === null) return NO_IMAGE;
  const cards = interfacesOf(settings, subnet?.id ?? null);
  if (typeof cards === "string") return cards;
  const isArn = instanceProfile?.startsWith("arn:") === true;
  const Tag = tagsOf(request);
  return {
    ClientToken: token,
    MinCount: 1,
    MaxCount: 1,
    ImageId: image,
    InstanceType: instanceType,
    KeyName: key ?? null,
    Placement: zone === null ? null : { AvailabilityZone: zone },
    IamInstanceProfile:
      instanceProfile === null ? null : { [isArn ? "Arn" : "Name"]: instanceProfile },
    UserData: userData === null ? null : Buffer.from(userData).toString("base64"),
    BlockDeviceMapping:
      diskGb === null || facts.rootDevice === null
        ? null
        : [
            {
              DeviceName: facts.rootDevice,
              Ebs: { VolumeSize: diskGb, DeleteOnTermination: true },
            },
          ],
    TagSpecification: ["instance", "volume"].map((ResourceType) => ({ ResourceType, Tag })),
    ...marketOf(request, facts),
    ...(cards ?? { SubnetId: subnet?.id ?? null, SecurityGroupId: [...securityGroups] }),
  };
}

function marketOf({ market, reservation }: CreateRequest, facts: LaunchFacts): Params {
  if (market === "spot") {
    const SpotOptions = {
      SpotInstanceType: "one-time",
      InstanceInterruptionBehavior: "terminate",
    };
    return { InstanceMarketOptions: { MarketType: "spot", SpotOptions } };
  }
  if (market !== "reserved" || reservation === null) return {};
  const target = { CapacityReservationTarget: { CapacityReservationId: reservation } };
  const block = { InstanceMarketOptions: { MarketType: "capacity-block" } };
  return {
    CapacityReservationSpecification: target,
    ...(facts.isCapacityBlock ? block : {}),
  };
}

/** Ours first; labels that EC2 does not take are left out: nothing is identified by them. */
function tagsOf({ name, tags }: CreateRequest): Param[] {
  const isOwn = (key: string) => key.startsWith("navarch-");
  const keys = Object.keys(tags).sort((a, b) => Number(isOwn(b)) - Number(isOwn(a)));
  const fits = (key: string) =>
    key.length <= TAG_KEY_MAX &&
    (tags[key] ?? "").length <= TAG_VALUE_MAX &&
    !/^aws:/i.test(key) &&
    key !== "" &&
    key !== "Name";
  const pairs = keys.filter(fits).map((key) => ({ Key: key, Value: tags[key] ?? "" }));
  return [{ Key: "Name", Value: name }, ...pairs].slice(0, TAGS_MAX);
}

function subnetFor(
  zone: string | null,
  subnets: LaunchSettings["subnets"],
): { id: string } | { why: string } | null {
  const everywhere = subnets.find((one) => one.zone === null);
  const here = subnets.find((one) => one.zone === zone) ?? everywhere;
  if (here !== undefined || subnets.length === 0) return here ?? null;
  const zones = subnets.map((one) => one.zone).join(", ");
  if (zone === null) return { why: `the pool names no zone: set zones to some of ${zones}` };
  return { why: `no subnet for zone ${zone}: subnets has ${zones}` };
}

/** Without EFA and with the subnet's own rule for addresses, EC2 makes the only interface. */
function interfacesOf(settings: LaunchSettings, subnet: string | null): Params | string | null {
  const { efaInterfaces: efa, externalIp, securityGroups } = settings;
  if (efa === 0 && externalIp === null) return null;
  if (subnet === null) return "efa_interfaces and external_ip need subnet or subnets";
  if (efa > 1 && externalIp === true) {
    return "external_ip is not possible with several efa_interfaces";
  }
  const NetworkInterface = Array.from({ length: Math.max(efa, 1) }, (_, card) => ({
    DeviceIndex: card === 0 ? 0 : 1,
    NetworkCardIndex: card,
    SubnetId: subnet,
    SecurityGroupId: [...securityGroups],
    DeleteOnTermination: true,
    ...(efa === 0 ? {} : { InterfaceType: "efa" }),
    ...(externalIp === null || efa > 1 ? {} : { AssociatePublicIpAddress: externalIp }),
  }));
  return { NetworkInterface };
}
