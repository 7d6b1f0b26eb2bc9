/** The promises that a torture tries, as a table: each with the figure that breaks it. Pure. */
import type { Figures } from './judge.ts';

export interface Promised {
  /** Of docs/guarantees.md. */
  id: string;
  promise: string;
  /** How often it was broken; 0 when it was kept. */
  broken(figures: Figures): number;
}

/** Memory has a bound: about 300 MiB with 200 devices, and this much room for what a replay and a flood need. */
const RSS_AT_MOST_MIB = 1_024;

export const PROMISES: readonly Promised[] = [
  { id: 'I2 I3 I4 I14', promise: 'what was acknowledged is stored', broken: ({ lost }) => lost },
  { id: 'I2', promise: 'nothing is stored that was not sent', broken: ({ phantom }) => phantom },
  { id: 'I2', promise: 'nothing is stored twice', broken: ({ duplicated }) => duplicated },
  { id: 'I3', promise: 'what was acknowledged is acknowledged by the broker', broken: ({ bridgeLost }) => bridgeLost },
  { id: 'I5', promise: 'a refused reading is in the quarantine', broken: ({ poisonLost }) => poisonLost },
  { id: 'I5', promise: 'no good reading is refused', broken: ({ wronglyRejected }) => wronglyRejected },
  {
    id: 'I6',
    promise: `the hub stays below ${RSS_AT_MOST_MIB} MiB`,
    broken: (figures) => +(figures.rssMaxMib > RSS_AT_MOST_MIB),
  },
  { id: 'I7', promise: 'every frame is answered', broken: ({ unanswered }) => unanswered },
  { id: 'I10', promise: 'no command runs twice', broken: ({ orders }) => orders.twice.length },
  {
    id: 'I10',
    promise: 'no command is forgotten or made up',
    broken: ({ orders }) => orders.lost.length + orders.phantom.length,
  },
  { id: 'I10', promise: 'every command ends', broken: ({ orders }) => orders.open.length },
  {
    id: 'I10',
    promise: 'a silent command is unknown 5 s after its deadline',
    broken: ({ orders }) => orders.late.length,
  },
  { id: 'I15', promise: 'no token is in the log', broken: ({ leakedTokens }) => leakedTokens },
  {
    id: 'I8 I9 I12 I13',
    promise: 'revoked tokens end, devices come back, the hub starts, drains and comes to rest',
    broken: ({ broken }) => broken.length,
  },
];

/** The promises that were broken, none when all is well. */
export const brokenPromises = (figures: Figures): Promised[] => PROMISES.filter(({ broken }) => broken(figures) > 0);
