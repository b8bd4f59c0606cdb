/** What `GET /v1/fleets` answers: this fleet's id, and other fleets with pools of our names. */

/** Machines of one other fleet, as its clouds list them. */
export type OtherFleetView = {
  fleet_id: string;
  /** Pools of ours that have the same names. */
  pools: string[];
  providers: string[];
  machines: number;
  /** US dollars of those whose price is known. */
  per_hour: number;
  unknown_prices: number;
  /** Its pools here wait for a person: they have bought and adopted nothing yet. */
  holds: boolean;
  /** Who said that it is another's. */
  ignored_by: string | null;
  /** The first of its machines. */
  shown: { instance_id: string; type: string; region: string | null }[];
};

export type FleetsView = {
  fleet_id: string;
  /** The id that the next start has, after an adoption; `null` = the same. */
  next_id: string | null;
  others: OtherFleetView[];
  /** Providers that did not show machines of other fleets, for pools that have bought nothing. */
  not_seen: { provider: string; pools: string[]; why: string }[];
};

/** `changed: false` = it was done before. */
export type FleetChangeView = { fleet_id: string; changed: boolean };
