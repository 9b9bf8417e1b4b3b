//! Fields of all other documented list resources, in the order of the public `OpenAPI` description.
//!
//! Same grammar as `main_fields.rs`; there are no values, so `rows.rs` makes one from the type and the name.

/// The field lists of the other resources.
pub(super) const OTHER: &str = "
[adcodes]
  id:i; name:s; description:s; visits:i; affiliate_id:i; commission:s; commission_type:s; total_sales:n;
  total_orders:i; initial_sales:n; load_sales:n; new_customers:i; load_customers:i; total_commissions:n;
  conversion_rate:n; cost_per_customer:n; sales_per_ad_dollar:n; repeat_commission_amount:s; repeat_commission_type:s;
  pay_for_repeat_sales:s; url:s; is_pay_per_click:b; source:s; updated_at:d; created_at:d; expires_at:d;
  creation_type:s;
[attribute_groups]
  id:i; name:s; sort_order:i; is_hidden:b; allow_drill_down:b; allow_multiple:b; tie_variant_inventory:b;
  updated_at:d; created_at:d;
[attributes]
  id:i; attribute_group_id:i; name:s; is_hidden:b; sort_order:i; updated_at:d; created_at:d; page_title:s; keywords:s;
  meta_description:s; url_rewrite:s;
[blacklisted_ips]
  id:i; ip_address:s; hit_count:i; last_hit_at:d; user_agent:s; description:s;
[blog_categories]
  id:i; blog_id:i; parent_category_id:i; type:s; description:s; updated_at:d; created_at:d; name:s;
  blog_category_path:s;
[blog_posts]
  id:i; blog_id:i; title:s; keywords:s; description:s; content:s; published_at:d; updated_at:d; created_at:d;
  teaser_title:s; teaser_description:s; post_image_url:s; teaser_image_url:s; author_profile_id:i;
  are_comments_enabled:b; is_featured:b; is_stickied:b; are_comments_locked:b; view_count:i; store_id:i; head_tags:s;
  url_rewrite:s; page_title:s; page_content_type:s;
[blogs]
  id:i; store_id:i; name:s; description:s; tag_line:s; url_slug:s; meta_description:s; meta_keywords:s; updated_at:d;
  created_at:d; copyright:s; image_url:s; language:s; max_feed_elements:i; syndication_type:s; is_rss_feed_enabled:b;
  is_atom_feed_enabled:b; max_chars_short_feed:i; max_chars_summary:i; is_commenting_enabled:b;
  is_comment_moderation_enabled:b; default_post_image:s; default_teaser_image:s;
  new_post_notification_email_template_id:i; new_comment_notification_email_template_id:i;
  notify_commenters_on_new_comments:b; new_comment_admin_notification_email_template_id:i;
  new_post_admin_notification_email_template_id:i; new_comment_reply_notification_email_template_id:i; page_title:s;
[cart_items]
  id:i; product_id:i; item_number:s; quantity:i; price:n; cost:n; shipping_address_id:i; item_thumbnail:s; item_url:s;
  item_name:s; warehouse_id:i; parent_product_id:i; parent_cart_item_id:i; updated_at:d; created_at:d; cart_id:i;
  is_subscription_product:b; configuration:s; subscription_paused:b; variants:a; personalizations:a;
[carts]
  id:i; name:s; cart_type:s; customer_id:i; is_public:b; updated_at:d; created_at:d; store_id:i; session_id:i;
  discount_total:i; subtotal:n; shipping_total:i; handling_total:i; tax_total:i; grand_total:n; tax_rate:i;
  additional_fees:i; discounted_shipping_total:i; region_markup_amount:n; non_shipping_discount:i;
  gift_certificate_discount:n; coupon_code:s; associated_order_id:i; shipping_estimate_city:s;
  shipping_estimate_state_code:s; shipping_estimate_postal_code:s; shipping_estimate_country_code:s;
  is_shipping_billed_to_account:b; customer_payment_method_id:i; payment_method_id:i; is_payment_cart_only:b;
  lookup_key:s;
[categories]
  id:i; name:s; short_description:s; sort_order:i; is_hidden:b; parent_category_id:i; max_quantity:i;
  category_thumbnail:s; page_title:s; lookup_path:s; keywords:s; meta_description:s; category_image:s;
  external_content_url:s; is_category_content_displayed:b; are_subcategory_products_displayed:b; url_rewrite:s;
  updated_at:d; created_at:d; default_product_picture:s; alternate_thumbnail:s; head_tags:s; cat_image_alt_text:s;
  thumb_image_alt_text:s; is_hide_from_site_maps:b;
[coupon_codes]
  id:i; campaign_code:s; coupon_code:s; is_active:b; is_expired:b; expires_at:d; max_uses:i; usage_count:i; notes:s;
  is_hidden:b;
[credit_cards]
  id:i; customer_id:i; card_type:s; expiration_month:i; expiration_year:i; cardholder_name:s; phone:s;
  address_line_1:s; address_line_2:s; city:s; state:s; postal_code:s; country:s; is_default:b; updated_at:d;
  created_at:d; last_four:s;
[custom_field_values]
  id:i; custom_field_id:i; resource_id:i; value:s; updated_at:d; created_at:d;
[custom_fields]
  id:i; updated_at:d; created_at:d; name:s; resource_type:s; input_type:s; value_type:s; field_width:i; sort_order:i;
  format_string:s; is_searchable:b; is_editable:b; is_multi_select:b; label:s; is_private:b; is_required:b;
  show_on_order_page:b; display_location:s; default_value:s; read_only:s; show_on_one_page_checkout:b;
  is_visible_all_stores:b;
[custom_shipping_methods]
  id:i; name:s; is_enabled:b; is_default:b; markup_type:s; markup_amount:s; description:s; updated_at:d; created_at:d;
  use_base_rate:b; is_calculated_method:b; admin_only:b;
[customer_association]
  customer_association_id:i; association_type_id:i; parent_customer_id:i; child_customer_id:i;
[customer_payment_methods]
  id:i; payment_method_id:i; customer_id:i; payment_type:s; is_default:b; card_id:i; updated_at:d; created_at:d;
  address_id:i;
[customer_types]
  id:i; name:s; customer_level:i; description:s; updated_at:d; created_at:d;
[discount_actions]
  id:i; discount_method_id:i; is_exclusive:b; is_strict:b; is_active:b; modifier_operation:s; modifier_amount:s;
  modifier_type:s; modifier_target:s; sort_order:i;
[discount_methods]
  id:i; name:s; is_enabled:b; is_strict:b; use_once:b; expires:b; expires_at:d; updated_at:d; created_at:d;
  starts_at:d; remaining_uses:i; notes:s; is_free_shipping_discount:b; is_exclusive:b; uses:i; exclude_child_items:b;
  exclude_subscription_renew:b;
[discount_rules]
  id:i; discount_method_id:i; type:s; target:s; updated_at:d; created_at:d; operator_type:s; target_quantity:i;
  target_quantity_type:s; discount_action_id:i; is_action_rule:b; bogo_discount_buy_quantity:i;
  bogo_discount_quantity:i; bogo_max_use_per_order:i; discount_from_high_to_low:b;
[drips]
  id:i; name:s; is_enabled:b;
[email_templates]
  id:i; type:s; body:s; subject:s; from_name:s; from_email:s; is_enabled:b; admin_alert_header:s;
  admin_alert_subject:s; is_admin_alert_enabled:b; email_format:s; attach_invoice_pdf:b; email_category_id:i;
  admin_alert_email_override:s;
[external_image_whitelist]
  external_image_whitelist_sites_id:i; url:s; created_at:d; entered_by:s; updated_at:d;
[gift_certificate_transactions]
  id:i; gift_certificate_id:i; action:s; amount:i; is_pre_tax_discount:b; order_id:i; order_payment_id:i;
  updated_at:d; created_at:d; status:s;
[gift_certificates]
  id:i; code:s; original_order_id:i; from_customer_id:i; recipient_email:s; recipient_name:s;
  recipient_shipping_address:s; gift_message:s; status:s; is_pre_tax_discount:b; gift_certificate_type:s; comments:s;
  created_at:d; expires_at:d; store_id:i; current_amount:i; original_amount:i; updated_at:d; customer_id:i; expires:b;
  order_item_id:i;
[links]
  id:i; url:s; text:s; sort_order:i; store_id:i; is_hidden:b; named_link:s; page_id:i; updated_at:d; created_at:d;
  category_id:i; is_dynamic_menu_root:b; dynamic_menu_levels:i; link_type:s; parent_link_id:i;
  is_hidden_in_navigation_only:b; opens_in_new_window:b; is_home_page:b; product_id:i; blog_id:i; blog_category_id:i;
[mailing_lists]
  id:i; type:s; admin_list_name:s; public_list_name:s; store_id:i; is_store_default:b; auto_opt_in:b; is_hidden:b;
  url_based_subscribe_url:s; updated_at:d; created_at:d; welcome_email_template_id:s;
[manufacturers]
  id:i; name:s; description:s; is_hidden:b; sort_order:i; manufacturer_logo_url:s; page_title:s; keywords:s;
  meta_description:s; url_rewrite:s; updated_at:d; created_at:d; head_tags:s; brand_code:s;
[microstores]
  id:s; name:s; address_line_1:s; address_line_2:s; city:s; state:s; country:s; postal_code:s; phone:s; fax:s;
  parent_store_id:i; is_micro_store:b; set_cookie:b; cookie_expiration:i; activation_date:d; expiration_date:d;
  logo_image:s; path:s;
[notifications]
  notification_id:i; product_id:i; email_address:s; customer_id:i; notification_frequency_type:s; store_id:i;
  variant_inventory_id:i;
[order_addresses]
  id:i; customer_id:i; company:s; address_line_1:s; address_line_2:s; city:s; state:s; postal_code:s=@postal_mixed; country:s;
  phone:s; alternate_phone:s; fax:s; comments:s; updated_at:d; created_at:d; first_name:s; last_name:s;
  address_type:s; state_code:s; country_code:s;
[order_shipments]
  id:i; order_id:i; shipped_at:d; tracking_numbers:s; tracking_url:s; shipping_method:s; shipping_method_id:i;
  number_of_packages:i; total_weight:n; provider_base_shipping_cost:s; provider_insurance_cost:n;
  provider_handling_cost:n; provider_other_charges:n; provider_total_shipping_cost:n; email_sent:b; private_comment:s;
  shipping_comment:s; created_at:d; updated_at:d; shipping_method_type:s; shipment_name:s; shipping_provider_name:s;
[pages]
  id:i; title:s; keywords:s; description:s; content:s; is_hidden:b; store_id:i; external_url:s; is_content_only:b;
  url_rewrite:s; updated_at:d; created_at:d; is_secure:b; is_login_required:b; head_tags:s;
[payment_methods]
  id:i; payment_type:s; cost_modifier:i; cost_modifier_type:s; sort_order:i; is_hidden:b; description:s;
  confirmation_message:s; declined_message:s; is_gateway:b; gateway_name:s; name:s; updated_at:d; created_at:d;
[price_calculator_rule_modifiers]
  id:i; price_calculator_rule_id:i; action:s; value:i; modifier_type:s; optional_action:s; optional_value:i;
  optional_modifier_type:s; sort_order:i; updated_at:d; created_at:d; description:s;
[price_calculator_rules]
  id:i; price_calculator_id:i; customer_type_id:i; store_id:i; starting_quantity:i; price_base_type:s; updated_at:d;
  created_at:d; specific_base_price:i;
[price_calculators]
  id:i; calculation_name:s; description:s; updated_at:d; created_at:d; item_numbers_regex:s;
[product_inactive_in_store]
  id:i; item_id:i; store_id:i; updated_at:d; created_at:d; customer_type_id:i;
[product_lists]
  id:i; name:s;
[product_pictures]
  id:i; product_id:i; image_file:s; alt:s; description:s; is_primary:b; is_hidden:b; thumbnail_file:s; sort_order:i;
  flash_path:s; created_at:d; updated_at:d; is_video_screen_shot:b; video_content:s; download_external_image:b;
[product_pricing]
  id:i; product_id:i; store_id:i; customer_type_id:i; variant_inventory_id:i; sale_type_id:i; start_date:d;
  end_date:d; starting_quantity:n; price:n; cost:n; updated_at:d; created_at:d; price_calculation_id:i; variant_id:i;
  variant_price_surcharge:s;
[product_reviews]
  id:i; product_id:i; title:s; body:s; review_pros:s; review_cons:s; overall_rating:i; customer_id:i;
  approved_by_user_id:i; approved_at:d; created_at:d; updated_at:d; author_display_name:s; author_email:s;
  author_website:s; author_location:s; approval_status:s; origin_store_id:i; profile_id:i; uploaded_image:s;
  published_date:d;
[product_statuses]
  id:i; name:s; time_frame:s; is_unavailable:b; is_hidden:b; is_back_ordered:b; show_quantity:b; updated_at:d;
  created_at:d;
[product_variants]
  id:i; product_id:i; variant_group_id:i; description:s; price_adjustment:i; price_adjustment_type:s; sort_order:i;
  item_number_extension:s; item_number_sort_order:i; is_hidden:b; weight:n; weight_type:s; updated_at:d; created_at:d;
  is_default_selection:b; swatch_file:s; swatch_thumbnail:s; swatch_thumbnail_color:s;
[profiles]
  id:i; email:s; username:s; type:s; real_name:s; display_name:s; about:s; image_url:s; updated_at:d; created_at:d;
  company:s;
[quotes]
  id:i; customer_id:i; customer_type_id:i; adcode:s; ordered_at:d; order_status_id:i; special_instructions:s;
  subtotal:n; tax_total:n; shipping_total:n; discount_total:n; grand_total:n; cost_total:n;
  selected_shipping_method:s; ip_address:s; referrer:s; order_shipping_address_id:i; order_billing_address_id:i;
  admin_comments:s; source:s; search_phrase:s; is_ppc:b; ppc_keyword:s; store_id:i; session_id:i; handling_total:i;
  is_payment_order_only:b; selected_shipping_provider_service:s; additional_fees:i; adcode_id:i; updated_at:d;
  created_at:d; entered_by:s; is_gift:b; gift_message:s; public_comments:s; instructions:s; source_group:s;
  from_subscription_id:i; previous_order_status_id:i; order_status_last_changed_at:d; discounted_shipping_total:i;
  order_number:s; coupon_code:s; order_type:s; expires_at:d; expires:b; from_quote_id:i; campaign_code:s;
  reward_points_credited:b; channel:s; device:s; manufacturer_invoice_number:s; manufacturer_invoice_amount:n;
  manufacturer_invoice_paid:b; sales_agent_user_id:i; due_date:d; delivery_tax:n; location_id:i;
  converted_to_order_ids:s;
[regions]
  id:i; postal_codes:a; name:s; states:a; countries:a; markup_type:s; markup_amount:n; sort_order:i; updated_at:d;
  created_at:d; region_type:s; postal_code_country:s; is_shipping_region:b; is_tax_region:b;
[sessions]
  id:i; customer_id:i; user_id:i; first_hit_at:d; last_hit_at:d; ip_address:s; host_name:s; adcode_id:i; hit_count:i;
  visit_count:i; page_last_visited:s; referer:s; is_abandoned:i; user_agent:s; cart_id:i; wish_list_cart_id:i;
[shipping_provider_services]
  id:i; is_enabled:b; shipping_provider_id:i; identifier:s; name:s; shipping_provider_code:s; updated_at:d;
  created_at:d; allow_apo:b; allow_po_box:b;
[shipping_providers]
  id:i; name:s; provider_code:s; is_enabled:b; markup_amount:s; markup_type:s; updated_at:d; created_at:d;
  additional_markup_percent:i; additional_weight_per_package:i;
[shipping_rate_adjustments]
  id:i; type:s; amount:i; shipping_method_name:s; shipping_provider:s; is_unavailable:b; product_id:i; updated_at:d;
  created_at:d; available_region_id:i; use_calculated_rate:b;
[store_locations]
  id:i; store_id:i; name:s; city:s; state_id:i; non_us_state:s; country_id:i; phone:s; address_1:s; address_2:s;
  zip_code:s; latitude:n; longitude:n; notes:s; sort_order:i;
[stores]
  id:i; name:s; domain_name:s; email:s; fax:s; phone:s; keywords:s; description:s; all_catalog:b; is_micro_store:b;
  parent_store_id:i; profile_id:i; company_name:s; address_line_1:s; address_line_2:s; city:s; state:s; postal_code:s;
  country:s; billing_first_name:s; billing_last_name:s; tech_email:s; tech_first_name:s; tech_last_name:s;
  tech_same_as_billing:b; store_logo:s; store_image:s; testimonial_count:i; average_testimonial_rating:i;
[subscriptions]
  id:i; saved_cart_id:i; customer_id:i; next_due_at:d; frequency_type:s; frequency:i; drip_series_id:i;
  original_order_id:i; shipping_method_name:s; updated_at:d; created_at:d; customer_payment_method_id:i;
  shipping_address_id:i; billing_address_id:i; is_enabled:b; latest_renewal_order_id:i; is_renewal_payment_declined:b;
  renewal_count:i; one_time_customer_notice:s; customer_notice:s; cart_info:o; customer:o; shipping_address:o;
  customer_payment_method:o;
[tax_rates]
  id:i; name:s; rate:n; region_id:i; is_shipping_included:b; is_handling_included:b; store_id:i; updated_at:d;
  created_at:d;
[url_redirects]
  id:i; from:s; to:s; is_active:b; redirect_type:s; updated_at:d; created_at:d;
[users]
  id:i; username:s; email:s; phone:s; last_login_attempt_at:d; last_login_at:d; updated_at:d; created_at:d;
  first_name:s; last_name:s; phone_extension:s; alternate_phone:s; fax:s; profile_id:i; is_salesperson:b;
[variant_groups]
  id:i; name:s; sort_order:i; is_hidden:b; updated_at:d; created_at:d; display_type:s; group_header_html:s;
  public_description_html:s; group_footer_html:s; is_non_inventory:b;
[variant_inventory]
  id:i; product_id:i; inventory:i; item_number:s; manufacturer_item_number:s; weight:n; product_status_id:i;
  quickbooks_item_id:s; updated_at:d; created_at:d; low_stock_warning_at:i; low_stock_warning_enabled:b; gtin:s;
  variant_inventory_image:s; height:n; length:n; width:n; retail:n; shipper_hq_shipping_groups:s;
  shipper_hq_dimensional_rule_groups:s; shipper_hq_packing_boxes:s; description:s;
[warehouses]
  id:i; name:s; city:s; state:s; country:s; postal_code:s; is_default:b; email:s; address_line_1:s; address_line_2:s;
  account_number:s; updated_at:d; created_at:d;
[wishlists]
  id:i; name:s; cart_type:s; customer_id:i; is_public:b; updated_at:d; created_at:d; store_id:i; session_id:i;
  discount_total:n; subtotal:n; shipping_total:n; handling_total:n; tax_total:n; grand_total:n; tax_rate:n;
  additional_fees:n; discounted_shipping_total:n; region_markup_amount:n; non_shipping_discount:n;
  gift_certificate_discount:n; coupon_code:s; associated_order_id:i; shipping_estimate_city:s;
  shipping_estimate_state_code:s; shipping_estimate_postal_code:s; shipping_estimate_country_code:s;
  is_shipping_billed_to_account:b; customer_payment_method_id:i; payment_method_id:i; is_payment_cart_only:b;
  lookup_key:s;
[webhooks]
  id:i; event_type:s; url:s; failure_type:s; store_id:i; cache_length:s; fallback_url:s;
";
