// Begins: the theme, the market's terms, the stream, and the view that the address names.
import { render } from "preact";
import { openTheme } from "./state/theme";
import { useEffect } from "preact/hooks";
import { units } from "./logic/amounts";
import { useAnswer } from "./state/answers";
import { wallet } from "./state/wallet";
import { keepTime } from "./state/head";
import { market, marketProblem, openMarket } from "./state/market";
import { place, watchAddress } from "./state/route";
import { openStream, watchHead } from "./state/stream";
import { Engravings } from "./parts/glass";
import { Foot, StreamBand, Tabs, Top } from "./parts/frame";
import { Boundary, ProblemNote } from "./parts/panel";
import { listenToKeys } from "./parts/keys";
import { Dialogs } from "./parts/dialogs";
import { AccountView } from "./views/account";
import { JobView } from "./views/job";
import { JobsView } from "./views/jobs";
import { MarketView } from "./views/market";
import { MoreView, NetworkView, RoundsView, RoundView } from "./views/network";
import { ReservationsView } from "./views/reservations";
import { OfferView, ProvidersView, ProviderView } from "./views/providers";
import { CompanyView, VaultsView, VaultView } from "./views/vaults";

const VIEWS: Record<string, () => preact.JSX.Element> = {
  market: MarketView, job: JobView, jobs: JobsView, account: AccountView, providers: ProvidersView, provider: ProviderView, offer: OfferView,
  rounds: RoundsView, round: RoundView, network: NetworkView, reservations: ReservationsView, vaults: VaultsView, vault: VaultView, company: CompanyView, more: MoreView,
};

function Page() {
  const View = VIEWS[place.value.view];
  return (
    <>
      <Engravings />
      <Top />
      <StreamBand />
      <main tabIndex={-1} id="content">
        {market.value ? <Boundary key={place.value.view + place.value.of} what="This view">{View ? <View /> : <NoSuchView />}</Boundary> : <Opening />}
      </main>
      <Foot />
      <Tabs />
      <Dialogs />
      <OwnMoney />
    </>
  );
}

/** What one's own account has free, beside its name in the header. */
function OwnMoney() {
  const own = wallet.value.account;
  const told = useAnswer(own ? "/v1/accounts/{account}" : undefined, { path: { account: own ?? "" } }).value.value;
  useEffect(() => {
    if (told && told.address === wallet.value.account) wallet.value = { ...wallet.value, free: units(told.free) };
  }, [told]);
  return null;
}

function Opening() {
  return <><h1 class="answer">{marketProblem.value ? "The gateway does not answer." : " "}</h1><ProblemNote problem={marketProblem.value} /></>;
}

const NoSuchView = () => <><h1 class="answer">There is no such view.</h1><p class="sub"><a class="u" href="#/market">To the market</a></p></>;

function begin(): void {
  openTheme();
  watchAddress();
  const root = document.getElementById("page");
  if (root) render(<Page />, root);
  keepTime();
  openStream();
  watchHead();
  listenToKeys();
  void openMarket();
  window.setInterval(() => { if (!market.value) void openMarket(); }, 3_000);
}

begin();
