// The gateway's records by the names that the page uses. All of them are made from its OpenAPI.
import type { components, paths } from "./gateway";

type Told = components["schemas"];
export type Block = Told["BlockTold"];
export type Market = Told["MarketAnswer"];
export type Offer = Told["OfferTold"];
export type Bid = Told["BidTold"];
export type Book = Told["BookAnswer"];
export type Index = Told["PriceAnswer"];
export type Quote = Told["QuoteTold"];
export type OrderTold = Told["OrderAnswer"];
export type OrderDocument = Told["OrderDocument"];
export type Lease = Told["LeaseAnswer"];
export type LeaseRow = Told["LeaseTold"];
export type Span = Told["SpanTold"];
export type OrderEvent = Told["OrderEventTold"];
export type Entry = Told["EntryTold"];
export type SolvencyTold = Told["SolvencyAnswer"];
export type Explanation = Told["ExplanationTold"] & { block: NonNullable<Told["ExplanationTold"]["block"]> };
export type Account = Told["AccountAnswer"];
export type Provider = Told["ProviderAnswer"];
export type Receipts = Told["ReceiptsAnswer"];
export type Outputs = Told["OutputsAnswer"];
export type GpuSample = Told["GpuSampleDocument"];
export type JobSample = Told["JobSampleDocument"];
export type Decline = Told["DeclineTold"];
export type VaultRow = Told["VaultTold"];
export type Loan = Told["LoanTold"];
export type Paths = paths;

/** What `GET path` answers as JSON. */
export type Answer<P extends keyof paths> = paths[P] extends { get: { responses: { 200: { content: { "application/json": infer T } } } } } ? T : never;
