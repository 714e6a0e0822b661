"""The pages in a real browser: axe, the keyboard alone, no JavaScript, a narrow screen, a screen enlarged twice, paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from connectors.status.sources import Heard
from tests.connectors.pages.browser import CHROMIUM, chromium, focused, served, tab_to, too_wide, violations
from tests.connectors.pages.place import AIN, AUTONOMY, CCAS, HANDOFF, PASSWORD, Place

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed here")
OPERATIONS = (
    "",
    "/delais",
    "/alertes",
    "/rejets",
    "/liens",
    "/marche",
    "/demande?dossier=case:viriat/DP-001-451-27-00012",
)
FACT = f"/fait?{urlencode({'fait': 'case.pieces-requested', 'dossier': AUTONOMY})}"
AGENT = (
    "", "/recus", f"/recu?{urlencode({'passage': HANDOFF})}", f"/dossier?{urlencode({'dossier': AUTONOMY})}", "/liens", FACT,
    "/fait?fait=case.opened",
)  # fmt: skip
SIZES = {"narrow": (320, 640), "enlarged twice": (640, 400), "wide": (1280, 900)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a territory that the tests of this file share."""
    made = Place(tmp_path_factory.mktemp("pages"))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def code(place: Place) -> str:
    """Return the secret code of a person; beside them others wait, and somebody runs the bus."""
    place.account("camille", operator=True)
    place.account("agnes", AIN)
    place.stall()
    place.hear(1e9, Heard("viriat", "viriat/oxalis", 1e9, 90), Heard("udap-01", "udap-01/fluid", 0, 60))
    return place.apa()


@pytest.fixture(scope="module")
def url(place: Place, code: str) -> Iterator[str]:
    """Return the address of the pages."""
    assert code
    with served(place.app) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser."""
    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Browser, place: Place) -> Iterator[BrowserContext]:
    """Return a window without JavaScript, and all tries free again."""
    place.site.tries._left.clear()
    place.gateway.tries._left.clear()
    made = browser.new_context(java_script_enabled=False)
    yield made
    made.close()


def enter(page: Page, url: str, code: str, lang: str = "") -> None:
    page.goto(f"{url}/suivi{lang}")
    page.fill("#f-reference", f"{CCAS}/2027-0033")
    page.fill("#f-code", code)
    page.click("main button")


def test_a_person_sees_no_barrier(browser: Browser, url: str, code: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{url}/suivi")
    assert violations(page) == []
    page.click("main button")
    assert page.title().startswith("Erreur :")
    assert violations(page) == []
    for language in ("", "?lang=en"):
        enter(page, url, code, language)
        page.click("summary")
        assert violations(page) == []
    assert [e for e in errors if "422" not in e] == []
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_person_reads_it_on_any_screen_without_javascript(
    context: BrowserContext, url: str, code: str, size: str
) -> None:
    page = context.new_page()
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    enter(page, url, code)
    assert page.title() == "Le Département de l'Ain étudie votre demande"
    assert page.locator("h1").inner_text() == page.title()
    assert page.locator("[aria-current=step] h3").inner_text().startswith("Visite à domicile")
    assert too_wide(page) == []
    page.locator("summary").click()
    assert page.get_by_text("2 mois à compter du").is_visible()
    assert too_wide(page) == []
    page.goto(f"{url}/suivi")
    assert too_wide(page) == []


def test_a_person_needs_the_keyboard_alone(context: BrowserContext, url: str, code: str) -> None:
    page = context.new_page()
    page.goto(f"{url}/suivi")
    page.keyboard.press("Tab")
    assert focused(page) == "Aller au contenu"
    page.keyboard.press("Enter")
    tab_to(page, "reference")
    page.keyboard.type(f"{CCAS}/2027-0033")
    tab_to(page, "code")
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    page.wait_for_url("**/suivi/demande")
    tab_to(page, "Pourquoi cette date ?")
    page.keyboard.press("Enter")
    assert page.get_by_text("2 mois à compter du").is_visible()
    tab_to(page, "Fermer mon suivi")
    page.keyboard.press("Enter")
    page.wait_for_url("**/suivi")


def test_a_person_prints_the_status_alone(context: BrowserContext, url: str, code: str) -> None:
    page = context.new_page()
    enter(page, url, code)
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible()
    assert page.locator("h1").is_visible()
    assert page.locator("ol.way").is_visible()


def sign_in(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/entrer")
    page.fill("#f-name", name)
    page.fill("#f-password", PASSWORD)
    page.click("main button")


def test_operators_see_no_barrier(browser: Browser, place: Place, url: str) -> None:
    place.site.tries._left.clear()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/pilotage")
    assert violations(page) == []
    page.click("main button")
    assert page.title().startswith("Erreur :")
    assert violations(page) == []
    sign_in(page, url, "camille")
    for path in OPERATIONS:
        page.goto(f"{url}/pilotage{path}")
        assert violations(page) == [], path
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_operators_work_on_any_screen_without_javascript(context: BrowserContext, url: str, size: str) -> None:
    page = context.new_page()
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    sign_in(page, url, "camille")
    assert page.locator("h1").inner_text() == "2 passages demandent quelqu'un"
    for path in OPERATIONS:
        page.goto(f"{url}/pilotage{path}")
        assert too_wide(page) == [], path


def test_operators_need_the_keyboard_alone(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    sign_in(page, url, "camille")
    tab_to(page, "motif")
    page.keyboard.type("pas pris")
    tab_to(page, "Filtrer")
    page.keyboard.press("Enter")
    page.wait_for_url("**motif=not-taken**")
    tab_to(page, "Prendre en charge")
    page.keyboard.press("Enter")
    page.wait_for_url("**dit=prise")
    assert page.get_by_role("status").inner_text() == "L'alerte est prise en charge."
    tab_to(page, "Se déconnecter")
    page.keyboard.press("Enter")
    page.wait_for_url("**/entrer")


def test_agents_see_no_barrier(browser: Browser, place: Place, url: str) -> None:
    place.site.tries._left.clear()
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, url, "agnes")
    for path in AGENT:
        page.goto(f"{url}/agent{path}")
        assert violations(page) == [], path
    page.goto(f"{url}/agent{FACT}")
    page.click("main button")
    assert page.title().startswith("Erreur :")
    assert violations(page) == []
    page.fill("#f-pieces", "relevé d'impôt")
    page.click("main button")
    assert page.title().startswith("Demander des pièces : vérifiez avant d'envoyer")
    assert violations(page) == []
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_agents_work_on_any_screen_without_javascript(context: BrowserContext, url: str, size: str) -> None:
    page = context.new_page()
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    sign_in(page, url, "agnes")
    for path in AGENT:
        page.goto(f"{url}/agent{path}")
        assert too_wide(page) == [], path


def test_agents_open_a_case_with_the_keyboard_alone_and_the_person_follows_it(
    context: BrowserContext, url: str
) -> None:
    page = context.new_page()
    sign_in(page, url, "agnes")
    tab_to(page, "Ouvrir un dossier")
    page.keyboard.press("Enter")
    page.wait_for_url("**case.opened")
    tab_to(page, "procedure")
    page.keyboard.type("Allocation personnalisée d'autonomie")
    tab_to(page, "Voir ce que cela change")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=vérifiez avant d'envoyer")
    tab_to(page, "Envoyer")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ticket")
    reference, secret = page.locator(".ticket .code").all_inner_texts()
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible()
    assert page.locator(".ticket").is_visible()
    page.emulate_media(media="screen")
    page.goto(f"{url}/suivi")
    page.fill("#f-reference", reference)
    page.fill("#f-code", secret)
    page.click("main button")
    assert page.title() == "Le Département de l'Ain étudie votre demande"
