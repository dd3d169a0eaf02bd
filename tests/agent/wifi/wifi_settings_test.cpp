// SPDX-License-Identifier: Apache-2.0
// wifi.yaml: what is taken, what iwd is given for it, and the one line that each mistake gives.
#include "agent/wifi/wifi_settings.h"

#include <gtest/gtest.h>

namespace wayside::agent {
namespace {

std::vector<WifiFile> files(std::string_view text) {
  const auto settings = parse_wifi(text, "wifi.yaml");
  EXPECT_TRUE(settings) << settings.error().message;
  return settings ? iwd_files(*settings) : std::vector<WifiFile>(2);
}

std::string refusal(std::string_view text) {
  const auto settings = parse_wifi(text, "wifi.yaml");
  EXPECT_FALSE(settings) << text;
  const std::string said = settings ? "" : settings.error().message;
  EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  return said;
}

TEST(WifiSettings, APassphraseBecomesAnIwdFile) {
  const auto made = files("ssid: Field lab_2\npsk: correct horse\ncountry: DE\n");
  EXPECT_EQ(made[0].name, "main.conf");
  EXPECT_EQ(made[0].text, "[General]\nEnableNetworkConfiguration=false\nCountry=DE\n");
  EXPECT_EQ(made[1].name, "Field lab_2.psk");
  EXPECT_EQ(made[1].text, "[Settings]\nAutoConnect=true\nHidden=false\n\n[Security]\nPassphrase=correct horse\n");
}

TEST(WifiSettings, OddNamesAndPassphrasesAreEncodedAsIwdWantsThem) {
  EXPECT_EQ(files("ssid: \"Caf\xc3\xa9/1\"\npsk: '12345678'\ncountry: FR\n")[1].name, "=436166c3a92f31.psk");
  EXPECT_EQ(files("ssid: \"../etc/x\"\npsk: '12345678'\ncountry: FR\n")[1].name, "=2e2e2f6574632f78.psk");
  const auto odd = files("ssid: x\npsk: ' a\\b=c# \"q\"'\ncountry: FR\n");
  EXPECT_NE(odd[1].text.find("\nPassphrase=\\sa\\\\b=c# \"q\"\n"), std::string::npos) << odd[1].text;
}

TEST(WifiSettings, AKeyOf64HexDigitsIsNoPassphrase) {
  const std::string key(64, 'A');
  const auto made = files("ssid: x\npsk: " + key + "\ncountry: US\nhidden: true\n");
  EXPECT_EQ(made[1].text,
            "[Settings]\nAutoConnect=true\nHidden=true\n\n[Security]\nPreSharedKey=" + std::string(64, 'a') + "\n");
}

TEST(WifiSettings, AnOpenNetworkMustBeMeant) {
  EXPECT_EQ(files("ssid: guests\npsk: ''\ncountry: DE\n")[1].name, "guests.open");
  EXPECT_NE(refusal("ssid: guests\ncountry: DE\n").find("psk"), std::string::npos);
}

TEST(WifiSettings, MistakesAreToldInOneLineWithoutThePassphrase) {
  EXPECT_NE(refusal("ssid: x\npsk: short12\ncountry: DE\n").find("wifi.yaml:2: psk: must have 8 to 63 characters"),
            std::string::npos);
  for (const char* country : {"de", "DEU", "D1", "''"})
    EXPECT_NE(
        refusal(std::string("ssid: x\npsk: '12345678'\ncountry: ") + country).find("wifi.yaml:3: country: must be two"),
        std::string::npos);
  const auto umlaut = refusal("ssid: x\npsk: \"geheim\xc3\xa4\xc3\xb6\xc3\xbc\"\ncountry: DE\n");
  EXPECT_NE(umlaut.find("psk: may have only printable ASCII"), std::string::npos);
  EXPECT_EQ(umlaut.find("geheim"), std::string::npos);
  EXPECT_NE(refusal("ssid: ''\npsk: '12345678'\ncountry: DE\n").find("ssid: must have 1 to 32 bytes"),
            std::string::npos);
  EXPECT_NE(refusal("ssid: " + std::string(33, 's') + "\npsk: '12345678'\ncountry: DE\n").find("this has 33"),
            std::string::npos);
  EXPECT_NE(refusal("ssid: \"a\\tb\"\npsk: '12345678'\ncountry: DE\n").find("control characters"), std::string::npos);
  EXPECT_NE(refusal("ssid: x\npsk: '12345678'\npsk2: y\ncountry: DE\n").find("psk2"), std::string::npos);
  EXPECT_NE(refusal("just text").find("wifi.yaml"), std::string::npos);
  EXPECT_NE(refusal("").find("wifi.yaml"), std::string::npos);
}

}  // namespace
}  // namespace wayside::agent
